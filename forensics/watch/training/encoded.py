"""Which line of the program encodes the training rows: the one whose ids rows begin with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..models import Model
from ..places import where
from ..run import watch

_HEAD, _LEAST = 16, 4  # ids by which a text is known, and fewer that say nothing
_MOST = 10_000  # heads that are remembered

_places: dict[tuple[int, ...], str] = {}  # the head of what was encoded -> where first
_lengths: set[int] = set()
_said: set[tuple[str, str]] = set()


def remember(result: Any) -> None:
    """What a tokenizer gave: one row of ids or several, or a batch that holds them."""
    if len(_places) >= _MOST:
        return
    ids = result if isinstance(result, list) else getattr(result, "data", {}).get("input_ids")
    if not isinstance(ids, list) or not ids:
        return
    rows = [row for row in (ids if isinstance(ids[0], list) else [ids]) if len(row) >= _LEAST]
    place = where() if rows else None
    if place is None:
        return
    for head in (tuple(row[:_HEAD]) for row in rows[:_MOST] if isinstance(row[0], int)):
        _places.setdefault(head, place)
        _lengths.add(len(head))


def seen(model: Model, row: Sequence[int]) -> None:
    """A training row: say once where a tokenizer gave what it begins with, but for padding before it."""
    if not _places:
        return
    if (padding := run(row)) > 1:
        row = row[padding:]
    for length in sorted(_lengths, reverse=True):
        place = _places.get(tuple(row[:length])) if len(row) >= length else None
        if place is not None:
            if (model.number, place) not in _said:
                _said.add((model.number, place))
                watch.event("encode", model, place)
            return


def run(row: Sequence[int]) -> int:
    """How often the first id of a row repeats from its start on."""
    return next((n for n, token in enumerate(row) if token != row[0]), len(row))
