"""One pair of captures, part by part, in the order in which a reader asks."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable

from forensics.judge.material import Material
from forensics.records import Diagnosis
from forensics.report.html import answers, cards, chart, heat, tables, tokens, unseen
from forensics.report.html.escape import text
from forensics.units import ended


def one(m: Material) -> str:
    """The whole of one diagnosis."""
    d = _diagnosis(m)
    found = parts(m)
    return f"{_header(m, d)}{contents(found)}</header>" + "".join(section(title, body) for title, body in found.items())


def parts(m: Material) -> dict[str, str]:
    """Headings and what stands under them, of one pair of captures."""
    d, c = _diagnosis(m), m.comparison
    found = {
        "Why": cards.findings(d.findings, len(d.clean)) if d.findings or d.clean else "",
        "What changed": tables.counted(c) + heat.heat(m.heat) + tables.changed(c) if m.heat.cells and c.a != c.b else "",
        "Training": chart.charts(chart.Series(m.title, m.steps, m.points)) if m.steps else "",
        "What the loss trains on": tokens.lessons(m.shares, m.rows) if m.shares or m.rows else "",
        "What the model says": answers.exchanges(m.exchanges, m.more_exchanges) if m.exchanges else "",
        "Declared and observed": tables.declared(m.declared) if m.declared else "",
        "Environment": environment(m),
    }
    absent = [name for name, body in found.items() if not body]
    lacking = f'<p class="lead">This evidence does not hold: {", ".join(map(_slightly, absent))}.</p>' if absent else ""
    last = lacking + unseen.not_evaluated(d.not_evaluated) + unseen.clean(d.clean)
    return {name: body for name, body in found.items() if body} | {"What was not evaluated": last}


def _slightly(title: str) -> str:
    return {"Why": "findings", "Training": "steps of training", "Declared and observed": "settings that were declared"}.get(
        title, title[:1].lower() + title[1:]
    )


def _diagnosis(m: Material) -> Diagnosis:
    assert isinstance(m.diagnosis, Diagnosis)
    return m.diagnosis


def contents(titles: Iterable[str]) -> str:
    """Links to the parts."""
    links = "".join(f'<li><a href="#s-{_slug(title)}">{title}</a></li>' for title in titles)
    return f'<nav aria-label="parts of this page"><ul>{links}</ul></nav>'


def section(title: str, body: str) -> str:
    return f'<section aria-labelledby="s-{_slug(title)}"><h2 id="s-{_slug(title)}">{title}</h2>{body}</section>'


def _slug(title: str) -> str:
    return title.lower().replace(" ", "-")


def _header(m: Material, d: Diagnosis) -> str:
    name, span = names(d)
    return (
        f'<header><p class="eyebrow">forensics report</p><h1>{text(name)}</h1><p class="soft">{text(span)}</p>{cards.verdict(d)}{_facts(m)}'
    )


def names(d: Diagnosis) -> tuple[str, str]:
    """What a diagnosis is about, and between which points: of one run its name stands alone."""
    (run_a, _, point_a), (run_b, _, point_b) = d.a.partition("@"), d.b.partition("@")
    if run_a != run_b:
        return f"{d.a} → {d.b}", ""
    return run_a, f"from {point_a} to {point_b}" if point_a != point_b else point_a


def _facts(m: Material) -> str:
    """What ran, when, for how long."""
    run, found = m.run, {}
    if isinstance(command := run.get("command"), str) and command:
        words = json.loads(command)
        found["command"] = f"<code>{text(shlex.join(map(str, words)))}</code>" if words else ""
    if made := run.get("created_at"):
        found["captured"] = text(str(made)[:16].replace("T", " "))
    if isinstance(seconds := run.get("seconds"), (int, float)):
        found["took"] = f"{seconds:,.1f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"
    if isinstance(status := run.get("exit_status"), int):
        found["ended"] = text(ended(status))
    if m.steps:
        found["updates"] = f"{m.steps[-1].step:,}"
    found["with"] = text(", ".join(f"{k} {m.environment[k]}" for k in ("mlx", "mlx-lm") if k in m.environment))
    lines = "".join(f"<div><dt>{name}</dt><dd>{body}</dd></div>" for name, body in found.items() if body)
    return f'<dl class="facts">{lines}</dl>' if lines else ""


def environment(m: Material) -> str:
    c = m.comparison
    said = tables.differences(c.environment, c.a, c.b) if c.environment else ""
    if not m.environment:
        return said or "<p>No environment was recorded.</p>"
    rows = ((text(k), text(v)) for k, v in m.environment.items())
    same = "" if said or c.a == c.b else "<p>The same at both captures.</p>"
    return f"{said}{same}<details><summary>All of it</summary>{tables.table((' what', 'value'), rows, label='environment')}</details>"
