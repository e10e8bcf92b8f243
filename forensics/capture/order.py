"""Targets that are next tokens, but of another row, or under other numbers than the row has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from forensics.capture.roles import OTHER
from forensics.watch.protocol import RESIDUAL_MOST

_FEW = 0.1  # share of a row's targets that may be no token of the other row
_TOKENS = 4  # tokens that stand several times in a forward, and so many more positions of them, are no chance


def mark(tokens: Sequence[dict[str, Any]], rows: Iterable[Sequence[int]]) -> None:
    """Set `elsewhere` in rows of loss_tokens.

    It says of a target that is not of its own row whether it and its neighbours are those of another row;
    `renumbered`, whether it is the row's next token under a number of its own.

    Args:
        tokens: rows of loss_tokens, those of one training row side by side; changed in place.
        rows: token ids of all training rows of the run.
    """
    known = sorted({tuple(row) for row in rows})
    places: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, row in enumerate(known):
        for position, token in enumerate(row):
            places[position, token].append(number)
    for _, each in groupby(tokens, key=_line):
        taught = [one for one in each if _read(one)]
        strange = [one for one in taught if one["relation"] == OTHER]
        if not strange:
            continue
        elsewhere = _another(taught, strange, known, places)
        for one in strange:
            one["elsewhere"] = elsewhere
    for _, each in groupby(tokens, key=_forward):
        _renumber(list(each))


def _line(token: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(token[name] for name in ("process", "model", "step", "forward", "row"))


def _forward(token: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(token[name] for name in ("process", "model", "step", "forward"))


def _renumber(forward: Sequence[dict[str, Any]]) -> None:
    """Set `renumbered` where each next token of a forward has one target, and each target one next token.

    Targets that stand in their own rows are shifted, and tokens that stand once say nothing.
    """
    pairs, rows = list[tuple[int, int]](), dict[tuple[Any, ...], set[int]]()
    for line, each in groupby(forward, key=_line):
        row = list(each)
        rows[line] = {int(one["input_id"]) for one in row}
        pairs += [
            (int(after["input_id"]), int(one["target_id"]))
            for one, after in zip(row, row[1:], strict=False)
            if _read(one)
        ]
    strange = [one for one in forward if one["relation"] == OTHER and _read(one)]
    tokens, targets = {token for token, _ in pairs}, {target for _, target in pairs}
    alone = [one for one in strange if int(one["target_id"]) not in rows[_line(one)]]
    renumbered = (
        len(tokens) == len(targets) == len(set(pairs))
        and sum(count > 1 for count in Counter(token for token, _ in pairs).values()) >= _TOKENS
        and len(pairs) >= len(tokens) + _TOKENS
        and 2 * len(alone) > len(strange)
    )
    for one in strange:
        one["renumbered"] = renumbered


def _read(token: Mapping[str, Any]) -> bool:
    residual = token.get("residual")
    return bool(token["weight"]) and isinstance(residual, float | int) and residual <= RESIDUAL_MOST


def _another(
    taught: Sequence[Mapping[str, Any]],
    strange: Sequence[Mapping[str, Any]],
    known: Sequence[Sequence[int]],
    places: Mapping[tuple[int, int], Sequence[int]],
) -> bool:
    """Is there one row whose next tokens all these targets are, but for a few?"""
    wanted = {int(one["position"]) + 1: int(one["target_id"]) for one in taught}
    odd = {place: wanted[place] for place in (int(one["position"]) + 1 for one in strange)}
    tried: set[int] = set()
    for place, token in list(odd.items())[:3]:
        for number in places.get((place, token), ()):
            if number in tried:
                continue
            tried.add(number)
            row = known[number]
            if _differ(wanted, row) <= _FEW * len(wanted) and _differ(odd, row) <= _FEW * len(odd):
                return True
    return False


def _differ(wanted: Mapping[int, int], row: Sequence[int]) -> int:
    return sum(place >= len(row) or row[place] != token for place, token in wanted.items())
