"""Two runs side by side: what the one does that the other does not; each in full where it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from forensics.judge.material import Material
from forensics.records import Finding, TwoRuns
from forensics.report.html import answers, cards, chart, heat, sections, tables, tokens
from forensics.report.html.escape import text


def two(materials: Sequence[Material]) -> str:
    ends, *each = materials
    both = ends.diagnosis
    assert isinstance(both, TwoRuns)
    a, b = both.a, both.b
    parts = {
        "Findings of one alone": _findings(both),
        "Where they differ": _settings(both),
        "What changed": _pair([(m.title, tables.counted(m.comparison) + heat.heat(m.heat)) for m in each]),
        "Training": chart.charts(*(chart.Series(m.title, m.steps, m.points) for m in each)),
        "What the loss trains on": _lessons(each),
        "What the model says": answers.exchanges(ends.exchanges, ends.more_exchanges),
        "Environment": sections.environment(ends),
        "Each for itself": "".join(f"<details><summary>All of {text(m.title)}</summary>{_inner(m)}</details>" for m in each),
    }
    sides = "".join(cards.verdict(d, name) for d, name in zip(both.runs, (a, b), strict=True))
    head = f'<p class="eyebrow">forensics report</p><h1>{text(a)} → {text(b)}</h1><div class="pair">{sides}</div>'
    return f"<header>{head}{sections.contents(parts)}</header>" + "".join(sections.section(title, body) for title, body in parts.items())


def _findings(both: TwoRuns) -> str:
    parts = []
    for side, name in (("a", both.a), ("b", both.b)):
        only: list[Finding] = [f for f in both.findings if f.only_in == side]
        if only:
            parts.append(f'<h3 style="margin-top:1.2rem">Only in {text(name)}</h3>{cards.findings(only)}')
    return "".join(parts) or "<p>No finding is in one alone.</p>"


def _settings(both: TwoRuns) -> str:
    """Settings and facts; the causes stand above as cards."""
    causes = {f.id for f in both.findings}
    rows = [(text(d.subject), text(d.expected), text(d.observed)) for d in both.differences if d.subject not in causes]
    if not rows:
        return "<p>No setting and no fact that decides differs.</p>"
    return tables.table((" what", text(both.a), text(both.b)), rows, label=f"settings of {both.a} and {both.b} that differ")


def _lessons(each: Sequence[Material]) -> str:
    bars = "".join(tokens.bar(m.shares, m.title) for m in each)
    rows = tokens.legend() + _pair([(m.title, tokens.first_row(m.rows)) for m in each]) if any(m.rows for m in each) else ""
    return bars + rows if bars else "<p>What the loss trains on was not seen.</p>"


def _pair(sides: Sequence[tuple[str, str]]) -> str:
    return f'<div class="pair">{"".join(f"<div><h3>{text(name)}</h3>{body}</div>" for name, body in sides)}</div>'


def _inner(m: Material) -> str:
    """One run's whole report, under headings of a lower level."""
    return "".join(f'<section><h3 class="inner">{title}</h3>{body}</section>' for title, body in sections.parts(m).items())
