"""Parts of a page for notebooks: self-contained, scoped to themselves, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from forensics.judge.material import Heat
from forensics.records import Comparison, Diagnosis, Finding, TwoRuns
from forensics.report.html import cards, heat, tables, unseen
from forensics.report.html.escape import text
from forensics.report.html.sections import names
from forensics.report.html.style import FRAGMENT

_SHOWN = 100  # rows of a table
_SCALARS = ("created_at", "source", "place", "path", "model", "updates", "parameters", "trainable", "tensors", "nbytes", "complete")


def _whole(body: str) -> str:
    return f'<div class="forensics"><style>{FRAGMENT}</style>{body}</div>'


def diagnosis(found: Diagnosis | TwoRuns) -> str:
    """The verdict, the causes as cards, what was not evaluated."""
    if isinstance(found, TwoRuns):
        sides = "".join(cards.verdict(d, name) for d, name in zip(found.runs, (found.a, found.b), strict=True))
        return _whole(f'<div class="pair">{sides}</div>{cards.findings(found.findings)}')
    name, span = names(found)
    rest = f"<details><summary>{len(found.not_evaluated)} checks were not evaluated</summary>{unseen.not_evaluated(found.not_evaluated)}</details>"
    return _whole(
        f'<h3>{text(name)} <span class="tag">{text(span)}</span></h3>{cards.verdict(found)}'
        f"{cards.findings(found.findings) if found.findings else ''}{rest if found.not_evaluated else ''}"
    )


def finding(found: Finding) -> str:
    return _whole(cards.card(1, found, {}))


def comparison(found: Comparison, picture: Heat) -> str:
    """Counts, the picture of what changed, and the parameters that changed most."""
    same = f'<span class="tag">{ {True: "the same", False: "differs", None: "nothing to compare"}[found.same] }</span>'
    settings = tables.differences(found.configs, found.a, found.b, keys=("kind", "key")) if found.configs else ""
    return _whole(
        f"<h3>{text(found.a)} → {text(found.b)} {same}</h3>{tables.counted(found)}{heat.heat(picture)}{tables.changed(found)}"
        + (f"<details><summary>{len(found.configs)} settings differ</summary>{settings}</details>" if settings else "")
    )


def rows(found: Sequence[Mapping[str, Any]]) -> str:
    """Rows of a query as a table."""
    if not found:
        return _whole("<p>no rows</p>")
    heads = [text(name) for name in found[0]]
    cells = [["" if value is None else text(_short(value)) for value in row.values()] for row in found[:_SHOWN]]
    more = f'<p class="soft small">and {len(found) - _SHOWN:,} more rows</p>' if len(found) > _SHOWN else ""
    return _whole(f'<div class="scroll">{tables.table(heads, cells, kind="lines")}</div>{more}')


def capture(facts: Mapping[str, Any]) -> str:
    """What a capture or a run holds: its numbers, what stands in which role, what is missing."""
    told = [(text(name.replace("_", " ")), text(_short(facts[name]))) for name in _SCALARS if facts.get(name) not in (None, "none")]
    roles = [[text(_short(value)) for value in role.values()] for role in facts.get("roles") or []]
    heads = [text(name) for name in facts["roles"][0]] if roles else []
    captures = [str(c["capture"]) for c in facts.get("captures") or []]
    return _whole(
        f"<h3>{text(facts['ref'])}</h3>{tables.table((' what', 'value'), told, kind='lines')}"
        + (f"<p>captures: {', '.join(f'<code>{text(name)}</code>' for name in captures)}</p>" if captures else "")
        + (f"<details><summary>parameters by role</summary>{tables.table(heads, roles, kind='lines')}</details>" if roles else "")
        + "".join(f"<p>missing: {text(m.get('what'))}: {text(m.get('why'))}</p>" for m in facts.get("missing") or [])
    )


def _short(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
