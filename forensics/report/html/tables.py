"""Tables of a page: rows that become blocks on a phone, each cell with its heading for a screen reader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from forensics.judge.material import Declared
from forensics.records import ChangedParameter, Comparison, Row
from forensics.report.html.render import macros

_MAX_CHANGED = 200


def table(
    heads: Sequence[str], rows: Iterable[Sequence[object]], *, label: str = "", kind: str = "wide stack"
) -> Markup:
    """The first cell of a row is its heading.

    A heading that begins with a space is for a screen reader alone.
    """
    return Markup(macros("tables").table(heads, [list(row) for row in rows], label, kind))


def grouped(
    heads: Sequence[str], groups: Mapping[str, Sequence[Sequence[str]]], *, label: str = ""
) -> Markup:
    """Rows under the name of what they are of; those of nothing in particular first."""
    ordered = sorted(groups.items(), key=lambda group: bool(group[0]))
    return Markup(macros("tables").grouped(heads, ordered, label))


def declared(lines: Sequence[Declared]) -> Markup:
    """What differs first."""
    return Markup(macros("tables").declared(sorted(lines, key=lambda d: d.agrees)))


def differences(rows: Sequence[Row], a: str, b: str, *, keys: Sequence[str] = ("key",)) -> Markup:
    return Markup(macros("tables").differences(rows, a, b, keys))


def counted(c: Comparison) -> Markup:
    """How many parameters stand where, and which changed most."""
    most = max(c.changed, key=_size, default=None)
    return Markup(
        macros("tables").counted_parameters(
            c.parameters, most if most and most.relative is not None else None
        )
    )


def changed(c: Comparison) -> Markup:
    if not c.changed:
        return Markup()
    shown = sorted(c.changed, key=_size, reverse=True)[:_MAX_CHANGED]
    return Markup(macros("tables").changed(shown, len(c.changed) > _MAX_CHANGED, len(c.changed)))


def _size(p: ChangedParameter) -> float:
    """What is no number is larger than any, what was not measured less than all."""
    return -1.0 if p.relative is None else float("inf") if p.relative != p.relative else p.relative
