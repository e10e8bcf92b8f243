"""Two runs side by side: what the one does that the other does not; each in full where it is asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from markupsafe import Markup

from forensics.judge.material import Material
from forensics.records import TwoRuns
from forensics.report.html import answers, cards, chart, heat, meanings, sections, tables, tokens
from forensics.report.html.numbers import people
from forensics.report.html.render import macros


def two(materials: Sequence[Material]) -> Markup:
    ends, *each = materials
    both = ends.diagnosis
    assert isinstance(both, TwoRuns)
    of = macros("sections")
    ids = meanings.linked(both.findings)
    parts = {
        "Findings of one alone": _findings(both, ids),
        "Training": chart.charts(*(chart.Series(m.title, m.steps, m.points) for m in each)),
        "What the model says": answers.exchanges(ends.exchanges, ends.more_exchanges),
        "Where they differ": _settings(both, answered=bool(ends.exchanges)),
        "What the loss trains on": _lessons(each),
        "What changed": of.pair([(m.title, tables.counted(m.comparison) + heat.heat(m.heat)) for m in each]),
        "Environment": sections.environment(ends),
        **({sections.MEANINGS: meanings.meanings(ids)} if ids else {}),
        "Each for itself": Markup().join(of.inner(m.title, sections.parts(m)) for m in each),
    }
    verdicts = [cards.verdict(d, name) for d, name in zip(both.runs, (both.a, both.b), strict=True)]
    return Markup(of.two(both.a, both.b, verdicts, parts))


def _findings(both: TwoRuns, linked: Collection[str]) -> Markup:
    sides = {
        name: [f for f in both.findings if f.only_in == side] for side, name in (("a", both.a), ("b", both.b))
    }
    shown = [
        macros("sections").only(name, cards.findings(findings, linked=linked))
        for name, findings in sides.items()
        if findings
    ]
    return Markup().join(shown) or Markup("<p>No finding is in one alone.</p>")


def _settings(both: TwoRuns, *, answered: bool) -> Markup:
    """Settings and facts by what they are of, each once.

    Causes stand above as cards, answers side by side.
    """
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for difference in both.differences:
        of, _, what = difference.subject.rpartition(": ")
        if difference.kind != "cause" and not (answered and difference.kind == "answer"):
            values = (people(difference.expected), people(difference.observed))
            groups.setdefault(of, []).append((what, *values))
    if not groups:
        return Markup("<p>No setting and no fact that decides differs.</p>")
    return tables.grouped(
        (" what", both.a, both.b), groups, label=f"settings of {both.a} and {both.b} that differ"
    )


def _lessons(each: Sequence[Material]) -> Markup:
    bars = Markup().join(tokens.bar(m.shares, m.title) for m in each)
    if not bars:
        return Markup("<p>What the loss trains on was not seen.</p>")
    if not any(m.rows for m in each):
        return bars
    return (
        bars
        + tokens.legend()
        + Markup(macros("sections").pair([(m.title, tokens.first_row(m.rows)) for m in each]))
    )
