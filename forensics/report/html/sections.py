"""One pair of captures, part by part, in the order in which a reader asks."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection

from markupsafe import Markup

from forensics.judge.material import Material
from forensics.records import Diagnosis
from forensics.report.html import answers, cards, chart, coverage, heat, meanings, proving, tables, tokens
from forensics.report.html.render import macros
from forensics.units import ended

MEANINGS = "What the findings mean"
_PLAIN = {
    "Why": "findings",
    "Training": "steps of training",
    "Declared and observed": "settings that were declared",
}


def one(m: Material) -> Markup:
    """The whole of one diagnosis."""
    d = _diagnosis(m)
    name, span = names(d)
    ids = meanings.linked(d.findings)
    shown = parts(m, ids)
    if ids:
        last = shown.popitem()
        shown = {**shown, MEANINGS: meanings.meanings(ids), last[0]: last[1]}
    return Markup(macros("sections").one(name, span, cards.verdict(d), _facts(m), shown))


def parts(m: Material, linked: Collection[str] = ()) -> dict[str, Markup]:
    """Headings and what stands under them, of one pair of captures.

    `linked` are the findings whose meaning the page says.
    """
    d, c = _diagnosis(m), m.comparison
    nothing = Markup()
    sections = {
        "Why": cards.findings(d.findings, len(d.clean), linked) if d.findings or d.clean else nothing,
        **({"Proof": proving.proof(m.proof)} if m.proof.get("cures") else {}),
        "What changed": tables.counted(c) + heat.heat(m.heat) + tables.changed(c)
        if m.heat.cells and c.a != c.b
        else nothing,
        "Training": chart.charts(chart.Series(m.title, m.steps, m.points, m.validation))
        if m.steps
        else nothing,
        "What the loss trains on": tokens.lessons(m.shares, m.rows) if m.shares or m.rows else nothing,
        "What the model says": answers.exchanges(m.exchanges, m.more_exchanges) if m.exchanges else nothing,
        "Declared and observed": tables.declared(m.declared) if m.declared else nothing,
        "Environment": environment(m),
    }
    absent = [_PLAIN.get(name, name[:1].lower() + name[1:]) for name, body in sections.items() if not body]
    last = coverage.absent(absent) + coverage.not_evaluated(d.not_evaluated) + coverage.clean(d.clean)
    return {name: body for name, body in sections.items() if body} | {"What was not evaluated": last}


def _diagnosis(m: Material) -> Diagnosis:
    assert isinstance(m.diagnosis, Diagnosis)
    return m.diagnosis


def names(d: Diagnosis) -> tuple[str, str]:
    """What a diagnosis is about, and between which points: of one run its name stands alone."""
    (run_a, _, point_a), (run_b, _, point_b) = d.a.partition("@"), d.b.partition("@")
    if run_a != run_b:
        return f"{d.a} → {d.b}", ""
    return run_a, f"from {point_a} to {point_b}" if point_a != point_b else point_a


def _facts(m: Material) -> list[tuple[str, str, bool]]:
    """What ran, when, for how long: name, value, and whether it is code."""
    run = m.run
    facts: list[tuple[str, str, bool]] = []
    if isinstance(command := run.get("command"), str) and command:
        facts.append(("command", shlex.join(map(str, json.loads(command))), True))
    if created := run.get("created_at"):
        facts.append(("captured", str(created)[:16].replace("T", " "), False))
    if isinstance(seconds := run.get("seconds"), (int, float)):
        facts.append(("took", f"{seconds:,.1f} s" if seconds < 120 else f"{seconds / 60:,.0f} min", False))
    if isinstance(status := run.get("exit_status"), int):
        facts.append(("ended", ended(status), False))
    if m.steps:
        facts.append(("updates", f"{m.steps[-1].step:,}", False))
    if _diagnosis(m).evaluation:
        facts.append(("computed", _diagnosis(m).evaluation, False))
    facts.append(
        ("with", ", ".join(f"{k} {m.environment[k]}" for k in ("mlx", "mlx-lm") if k in m.environment), False)
    )
    return [fact for fact in facts if fact[1]]


def environment(m: Material) -> Markup:
    c = m.comparison
    table = tables.differences(c.environment, c.a, c.b) if c.environment else Markup()
    if not m.environment:
        return table or Markup("<p>No environment was recorded.</p>")
    everything = tables.table((" what", "value"), m.environment.items(), label="environment")
    return Markup(macros("sections").environment(table, not (table or c.a == c.b), everything))
