"""Which tokens the loss trains on.

Shares by role as a bar, and the first rows with each token shaded by its weight.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from markupsafe import Markup

from forensics.judge.material import Token, TrainingRow
from forensics.report.html.escape import token
from forensics.report.html.numbers import percent
from forensics.report.html.render import macros

_ROLES = {"prompt": "prompt", "answer": "answer", "end": "end", "pad": "padding"}
_LEAST = 0.0005  # a share below half a tenth of a percent is not drawn


def lessons(shares: Mapping[str, float], rows: Sequence[TrainingRow]) -> Markup:
    if not shares and not rows:
        return Markup("<p>What the loss trains on was not seen.</p>")
    if not rows:
        return bar(shares)
    return Markup(macros("tokens").lessons(bar(shares), legend(), _rows(rows)))


def bar(shares: Mapping[str, float], head: str = "The loss's weight over all steps") -> Markup:
    """Where the weight goes, in the order of a row."""
    parts = {role: share for role, share in shares.items() if share > _LEAST}
    if not parts:
        return Markup()
    described = ", ".join(f"{_ROLES[role]} {percent(share)}" for role, share in parts.items())
    drawn = [
        (role, f"{share:.4f}", f"{_ROLES[role]} {percent(share)}" if share > 0.11 else "")
        for role, share in parts.items()
    ]
    return Markup(macros("tokens").bar(head, described, drawn))


def legend() -> Markup:
    return Markup(macros("tokens").legend(_ROLES))


def first_row(rows: Sequence[TrainingRow]) -> Markup:
    return _rows(rows)[0] if rows else Markup("<p>No row was kept.</p>")


def _rows(rows: Sequence[TrainingRow]) -> list[Markup]:
    """Rows that look the same are shown once, with the steps that they come back at.

    Their weights differ in digits that are not shown.
    """
    bodies: dict[str, tuple[Markup, list[TrainingRow]]] = {}
    for row in rows:
        body = _body(row)
        bodies.setdefault(str(body), (body, []))[1].append(row)
    return [
        Markup(macros("tokens").row(_named(same), _shares(same[0].tokens), body))
        for body, same in bodies.values()
    ]


def _body(row: TrainingRow) -> Markup:
    hidden = all(t.text is None for t in row.tokens)
    return Markup(macros("tokens").body(list(_runs(row.tokens)), hidden, row.left_out))


def _named(rows: Sequence[TrainingRow]) -> str:
    first, *again = rows
    places = [
        f"step {r.step:,}" if r.row == first.row else f"step {r.step:,}, row {r.row + 1}" for r in again
    ]
    return f"Step {first.step:,}, row {first.row + 1}" + (
        f"; the same at {', '.join(places)}" if again else ""
    )


def _shares(tokens: Sequence[Token]) -> str:
    total = sum(abs(t.number or 0.0) for t in tokens)
    parts = {
        role: sum(abs(t.number or 0.0) for t in tokens if t.kind == role) / (total or 1.0) for role in _ROLES
    }
    return (
        ", ".join(f"{_ROLES[role]} {percent(share)}" for role, share in parts.items() if share > _LEAST)
        or "no weight at all"
    )


def _runs(tokens: Sequence[Token]) -> Iterator[dict[str, object]]:
    """Neighbours of one role and one shade in one span; a role is named where it begins."""
    largest = max((abs(t.number or 0.0) for t in tokens), default=0.0)
    last = ""
    for (role, level), tokens_of_run in groupby(tokens, lambda t: (t.kind, _level(t, largest))):
        group = list(tokens_of_run)
        named = role not in ("end", last)
        last = role if named else last
        mean = sum(t.number or 0.0 for t in group) / len(group)
        weight = "no weight" if level == 0 else f"weight {mean:.3g} each"
        run = {"role": role, "words": _ROLES.get(role, role), "level": level, "named": named}
        yield run | {"count": len(group), "weight": weight, "text": _texts(group)}


def _level(t: Token, largest: float) -> int:
    share = abs(t.number or 0.0) / largest if largest else 0.0
    return 0 if share < 1e-6 else 1 if share < 0.34 else 2 if share < 0.67 else 3


def _texts(group: Sequence[Token]) -> Markup:
    """A token said over and over is shown once, with its count."""
    parts = []
    for text, same in groupby(group, lambda t: t.text):
        n = len(list(same))
        parts.append(
            token(text) * n
            if n <= 3 and text is not None
            else token(text) + f" ×{n} "
            if n > 1
            else token(text)
        )
    return Markup().join(parts)
