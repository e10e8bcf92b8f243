"""Three runs or more in one page: verdicts, their curves over each other, then each in full."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from forensics.judge.material import Material
from forensics.records import Diagnosis
from forensics.report.html import cards, chart, heat, sections, tables, tokens
from forensics.report.html.render import macros


def several(materials: Sequence[Material]) -> Markup:
    of = macros("sections")
    each = [(d, sections.names(d)[0], m) for m in materials if isinstance(d := m.diagnosis, Diagnosis)]
    shares = Markup().join(tokens.bar(m.shares, name) for _, name, m in each)
    parts = {
        "Training": chart.charts(*(chart.Series(name, m.steps, m.points) for _, name, m in each)),
        "What the loss trains on": shares or Markup("<p>What the loss trains on was not seen.</p>"),
        "What changed": of.pair(
            [(name, tables.counted(m.comparison) + heat.heat(m.heat)) for _, name, m in each]
        ),
        "Each for itself": Markup().join(of.inner(name, sections.parts(m)) for _, name, m in each),
    }
    verdicts = [cards.verdict(d, name) for d, name, _ in each]
    return Markup(of.several([name for _, name, _ in each], verdicts, parts))
