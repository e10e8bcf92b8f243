"""Parts of a page for notebooks: self-contained, scoped to themselves, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from forensics.judge.material import Heat
from forensics.records import Comparison, Diagnosis, Finding, TwoRuns
from forensics.report.html import cards, heat, tables, unseen
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


def diagnosis(found: Diagnosis | TwoRuns) -> str:
    """The verdict, the causes as cards, what was not evaluated."""
    if isinstance(found, TwoRuns):
        verdicts = [cards.verdict(d, name) for d, name in zip(found.runs, (found.a, found.b), strict=True)]
        return _whole(macros("fragment").two(verdicts, cards.findings(found.findings)))
    name, span = names(found)
    shown = cards.findings(found.findings) if found.findings else Markup()
    rest = unseen.not_evaluated(found.not_evaluated)
    return _whole(
        macros("fragment").diagnosis(name, span, cards.verdict(found), shown, rest, len(found.not_evaluated))
    )


def finding(found: Finding) -> str:
    return _whole(cards.card(1, found, {}))


def comparison(found: Comparison, picture: Heat) -> str:
    """Counts, the picture of what changed, and the parameters that changed most."""
    settings = (
        tables.differences(found.configs, found.a, found.b, keys=("kind", "key"))
        if found.configs
        else Markup()
    )
    parts = [tables.counted(found), heat.heat(picture), tables.changed(found)]
    return _whole(
        macros("fragment").comparison(
            found.a, found.b, _SAME[found.same], parts, settings, len(found.configs)
        )
    )


def rows(found: Sequence[Mapping[str, Any]]) -> str:
    """Rows of a query as a table."""
    if not found:
        return _whole(Markup("<p>no rows</p>"))
    cells = [["" if value is None else short(value) for value in row.values()] for row in found[:_SHOWN]]
    return _whole(
        macros("fragment").rows(
            tables.table(list(found[0]), cells, kind="lines"), max(0, len(found) - _SHOWN)
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
