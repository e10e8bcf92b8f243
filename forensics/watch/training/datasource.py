"""How many rows the program holds to train on, where each step sees the same ones.

A program that is to learn one batch by heart holds no other rows; one whose loop never takes the next batch
does.
The lists are looked for in memory, once, while the loop runs.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from typing import Any

from ..capture.tensors import computed
from ..run import watch
from ..trees import is_array
from .encoded import run
from .event import Step

_LEAST = 4  # ids by which a row is known
_MOST = 20_000  # items of a list that is looked through
_LONGEST = 32_768  # ids of a row that is looked at

_first: dict[str, set[tuple[int, ...]]] = {}  # model -> the rows of its first kept step, without padding
_looked: set[str] = set()


def look(step: Step, partly: bool) -> None:
    """After the second kept step of a model, where its rows are those of the first: the row of `datasets`."""
    number = step.model.number
    if partly or not step.in_full or number in _looked:
        return
    rows = {_body(row) for row in _rows(step)}
    if not rows:
        return
    before = _first.setdefault(number, rows)
    if step.number == 1:
        return
    _looked.add(number)
    if before != rows:
        return
    held = max((len(items) for items in _lists() if _holds(items, rows)), default=None)
    if held is not None:
        watch.row("datasets", source="list", path=None, file=None, records=held, purpose="train", place=None)


def _rows(step: Step) -> Iterator[list[int]]:
    for event in step.gradients:
        for tap in event.arrays["taps"]:
            if "ids" in tap and tap["ids"].ndim == 2:
                yield from tap["ids"].tolist()


def _body(row: Sequence[int]) -> tuple[int, ...]:
    """A row without what repeats one id at its ends."""
    head, tail = run(row), run(row[::-1])
    return tuple(row[head if head > 1 else 0 : len(row) - tail if tail > 1 else len(row)])


def _lists() -> Iterator[Sequence[Any]]:
    """Lists and tuples in memory whose items are rows of ids, or hold one."""
    for each in gc.get_objects():
        if type(each) in (list, tuple) and 1 < len(each) <= _MOST and _ids(each[0]) is not None:
            yield each


def _ids(item: Any) -> list[int] | None:
    """The ids of a row: a list of numbers, or the first of a pair or a mapping."""
    if type(item) is list and len(item) >= _LEAST and type(item[0]) is int:
        return item if len(item) <= _LONGEST else None
    if type(item) in (tuple, dict) and 0 < len(item) <= 8:
        for part in item.values() if type(item) is dict else item:
            if type(part) is list and len(part) >= _LEAST and type(part[0]) is int:
                return part if len(part) <= _LONGEST else None
            # of arrays only what the program has computed: nothing is computed that it leaves alone
            if is_array(part) and part.ndim == 1 and _LEAST <= part.size <= _LONGEST and computed(part):
                values = part.tolist()
                return values if type(values[0]) is int else None
    return None


def _holds(items: Sequence[Any], rows: set[tuple[int, ...]]) -> bool:
    """Is one of the items a row that was trained, whole or as far as the shorter one goes?"""
    heads: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for row in rows:
        heads.setdefault(row[:_LEAST], []).append(row)
    for item in items:
        ids = _ids(item)
        body = _body(ids) if ids else ()
        for row in heads.get(body[:_LEAST], ()):
            most = min(len(row), len(body))
            if most >= _LEAST and row[:most] == body[:most]:
                return True
    return False
