"""Parts of a page for notebooks: self-contained, scoped to themselves, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from forensics.judge.material import Heat
from forensics.records import Comparison, Diagnosis, Finding, TwoRuns
from forensics.report.html import cards, coverage, heat, tables
from forensics.report.html.numbers import short
from forensics.report.html.render import macros
from forensics.report.html.sections import names
from forensics.report.html.style import FRAGMENT

_SHOWN = 100  # rows of a table
_SCALARS = (
    "created_at",
    "source",
    "place",
    "path",
    "model",
    "updates",
    "parameters",
    "trainable",
    "tensors",
    "nbytes",
    "complete",
)
_SAME = {True: "the same", False: "differs", None: "nothing to compare"}


def _whole(body: Markup) -> str:
    return str(macros("fragment").whole(Markup(FRAGMENT), body))


def diagnosis(whole: Diagnosis | TwoRuns) -> str:
    """The verdict, the causes as cards, what was not evaluated."""
    if isinstance(whole, TwoRuns):
        verdicts = [cards.verdict(d, name) for d, name in zip(whole.runs, (whole.a, whole.b), strict=True)]
        return _whole(macros("fragment").two(verdicts, cards.findings(whole.findings)))
    name, span = names(whole)
    shown = cards.findings(whole.findings) if whole.findings else Markup()
    rest = coverage.not_evaluated(whole.not_evaluated)
    return _whole(
        macros("fragment").diagnosis(name, span, cards.verdict(whole), shown, rest, len(whole.not_evaluated))
    )


def finding(f: Finding) -> str:
    return _whole(cards.card(0, f, {}))


def comparison(c: Comparison, picture: Heat) -> str:
    """Counts, the picture of what changed, and the parameters that changed most."""
    settings = tables.differences(c.configs, c.a, c.b, keys=("kind", "key")) if c.configs else Markup()
    parts = [tables.counted(c), heat.heat(picture), tables.changed(c)]
    return _whole(macros("fragment").comparison(c.a, c.b, _SAME[c.same], parts, settings, len(c.configs)))


def rows(records: Sequence[Mapping[str, Any]]) -> str:
    """Rows of a query as a table."""
    if not records:
        return _whole(Markup("<p>no rows</p>"))
    cells = [["" if value is None else short(value) for value in row.values()] for row in records[:_SHOWN]]
    return _whole(
        macros("fragment").rows(
            tables.table(list(records[0]), cells, kind="lines"), max(0, len(records) - _SHOWN)
        )
    )


def capture(facts: Mapping[str, Any]) -> str:
    """What a capture or a run holds: its numbers, what stands in which role, what is missing."""
    values = [
        (name.replace("_", " "), short(facts[name]))
        for name in _SCALARS
        if facts.get(name) not in (None, "none")
    ]
    by_role = facts.get("roles") or []
    roles = (
        tables.table(list(by_role[0]), [[short(v) for v in role.values()] for role in by_role], kind="lines")
        if by_role
        else Markup()
    )
    captures = [c["capture"] for c in facts.get("captures") or []]
    scalars = tables.table((" what", "value"), values, kind="lines")
    return _whole(
        macros("fragment").capture(facts["ref"], scalars, captures, roles, facts.get("missing") or [])
    )
