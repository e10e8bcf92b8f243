"""Asks the model that is trained, on the program's own first batch, whether it sees what it should not.

Its forward alone is called, in evaluation mode, a few times more: with later tokens changed, and with the
other rows changed. What may differ by rounding is measured in the same way: by calling it again, and with
every small parameter moved by one unit in its last place.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import trees
from ..capture.isolation import still
from ..originals import math, time
from ..trees import mx
from . import head as heads
from .firstbatch import Call

_ROWS = 2  # of the batch, where rows can be taken out of it
_POSITIONS = 128  # of a row, and more only where the loss begins later
_LONGEST = 1024
_WHOLE = 2048  # tokens of a batch that must be taken as it is
_LOOKED = 12  # positions a row that are looked at
_FIT = 0.05  # residual above which a position is no evidence of its target
_SMALL = 1 << 16  # elements of a parameter that is moved for the rounding
_FORWARDS = 6  # at most
_SECONDS = 5.0  # that they may take in all, or as long as a set of probes


class NotRunError(Exception):
    """The test is not made; `kind` is that of what is not evaluated."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind, self.why = kind, why


@dataclass
class Cut:
    """The part of the batch that is asked: token ids, and in each row the positions whose target follows."""

    ids: list[list[int]]
    places: list[list[int]]  # by row; the target of each is the token after it
    body: list[tuple[int, int]]  # by row: from, to, without what pads it

    @property
    def tokens(self) -> int:
        return len(self.ids) * len(self.ids[0])

    @property
    def flat(self) -> list[int]:
        """The places as numbers over all rows."""
        width = len(self.ids[0])
        return [row * width + place for row, places in enumerate(self.places) for place in places]

    @property
    def rows(self) -> list[int]:
        """The row of each place."""
        return [row for row, places in enumerate(self.places) for _ in places]


def cut(ids: list[list[int]], target: list[list[int]], weight: Any, residual: Any, bare: bool) -> Cut:
    """What of a batch is asked. `bare`: rows and positions may be taken out of it.

    Raises: NotRunError, where no token is taught from the ones before it.
    """
    found: list[tuple[list[int], list[int], tuple[int, int]]] = []
    following = live = 0
    for row, (tokens, targets, weights, left) in enumerate(zip(ids, target, weight, residual, strict=True)):
        begin, end = _body(tokens)
        places = []
        for p, (y, w, r) in enumerate(zip(targets, weights, left, strict=True)):
            if w == 0 or r > _FIT or not begin <= p < end - 1 or tokens[p] == tokens[p + 1]:
                continue
            live += 1
            following += y == tokens[p + 1]
            if y == tokens[p + 1]:
                places.append(p)
        if places or not bare:
            found.append((ids[row], places, (begin, end)))
    if not following or 2 * following <= live:
        raise NotRunError("not-applicable", "the loss does not teach each token from those before it")
    if bare:
        found = found[:_ROWS]
        first = max(places[0] for _, places, _ in found)
        width = min(len(ids[0]), max(_POSITIONS, min(first + _POSITIONS // 4, _LONGEST)))
        found = [
            (tokens[:width], _until(places, width - 1), (a, min(b, width)))
            for tokens, places, (a, b) in found
        ]
        found = [item for item in found if item[1]]
    elif len(ids) * len(ids[0]) > _WHOLE:
        raise NotRunError(
            "unseen", f"the first batch, {len(ids) * len(ids[0])} tokens, is more than is asked twice"
        )
    if not any(places for _, places, _ in found):
        raise NotRunError("unseen", f"the loss begins after the first {_LONGEST} tokens of its rows")
    return Cut([item[0] for item in found], [_some(item[1]) for item in found], [item[2] for item in found])


def _until(places: list[int], end: int) -> list[int]:
    return [place for place in places if place < end]


def _some(places: list[int]) -> list[int]:
    """A few of them, evenly."""
    if len(places) <= _LOOKED:
        return places
    return [places[i * (len(places) - 1) // (_LOOKED - 1)] for i in range(_LOOKED)]


def _body(tokens: list[int]) -> tuple[int, int]:
    """Where a row begins and ends, without what repeats one id up to its edge."""
    begin = next((i for i, token in enumerate(tokens) if token != tokens[0]), 0)
    tail = next((i for i, token in enumerate(reversed(tokens)) if token != tokens[-1]), 0)
    return max(begin - 1, 0), len(tokens) - max(tail - 1, 0)


class Check:
    """One model, asked on one part of its batch."""

    def __init__(self, call: Call, part: Cut, seconds: float) -> None:
        module, root, self.dtype = call.callee(), call.model.module, ""
        if module is None or root is None:
            raise NotRunError("unseen", "the program has dropped the model")
        self.call, self.module, self.root, self.part = call, module, root, part
        spent, allowed = time.process_time(), max(seconds, _SECONDS)
        self.z = self._timed(part.ids, allowed, 1)
        again = self._timed(part.ids, allowed, _FORWARDS)
        self.scale = mx().abs(self.z).max().item()
        if not math.isfinite(self.scale) or not self.scale:
            raise NotRunError("not-applicable", "the outputs of the first batch are not finite, or all zero")
        self.repeat = self._most(again)
        self.rounding = max(self.repeat, self._most(self.forward(part.ids, moved=True)))
        self.allowed, self.others = allowed, _others(part)
        self.spent = time.process_time() - spent  # seconds of processor

    def _timed(self, ids: list[list[int]], allowed: float, count: int) -> Any:
        """One forward; no more are made where `count` of them take longer than is allowed."""
        core = mx()  # on a processor that others use too, what it did for us; a GPU's time is not in that
        clock = time.process_time if core.default_device() == core.Device(core.cpu) else time.perf_counter
        began = clock()
        found = self.forward(ids)
        self.took = clock() - began
        self.afford(count, allowed)
        return found

    @functools.cached_property
    def crossed(self) -> Crossed | None:
        """What is asked once for both tests; None where they are asked apart."""
        return _crossed(self)

    def afford(self, count: int, allowed: float) -> None:
        """Raises: NotRunError, where so many forwards take more seconds than are allowed."""
        if self.took * count > allowed:
            why = f"it would cost too much: one forward takes {self.took:.1f} s"
            raise NotRunError("unseen", f"{why}, and {allowed:.0f} s are allowed, or one set of probes")

    def forward(self, ids: list[list[int]], moved: bool = False) -> Any:
        """(places, width) float32: what the model says at the places, on these ids."""
        with still(self.root, evaluation=True):
            if moved:
                move(self.root)
            found = self.outputs(ids)
            mx().eval(found)
        return found

    def outputs(self, ids: list[list[int]]) -> Any:
        """The same of the model as it stands, not evaluated: to be called within `still`."""
        core = mx()
        args, kwargs = self.call.with_ids(core.array(ids, self._dtype()))
        z = trees.output_array(self.module(*args, **kwargs))
        if z is None or z.ndim != 3 or z.shape[:2] != (len(ids), len(ids[0])):
            raise NotRunError("unseen", "the model answers a part of its batch in another form")
        self.dtype = str(z.dtype).rpartition(".")[2]
        return z.reshape(-1, z.shape[-1])[core.array(self.part.flat)].astype(core.float32)

    def changes(self, ids: list[list[int]]) -> list[float]:
        """By how much the output at each place is another on these ids."""
        core = mx()
        found: list[float] = core.abs(self.forward(ids) - self.z).max(-1).tolist()
        return found

    def _most(self, z: Any) -> float:
        core = mx()
        return float(core.abs(z - self.z).max().item())

    def _dtype(self) -> Any:
        return mx().int32 if self.call.ids is None else self.call.ids.dtype


@dataclass
class Crossed:
    """What two forwards show of both questions.

    In each, every other row is changed after one of its places: what it said there says whether it sees what
    comes later, and what the rows between them say whether they see their neighbours.
    """

    later: list[float]  # one number a changed row
    beside: list[float]  # one number a row between them


def _crossed(asked: Check) -> Crossed | None:
    """None where a row has no place behind the change of its neighbours."""
    part, flat = asked.part, asked.part.flat
    if not all(part.places) or len(part.places) < 2:
        return None
    at = [places[min(len(places) - 1, len(places) // 3 + row % 2)] for row, places in enumerate(part.places)]
    first = [
        min(at[1 - side :: 2]) + 1 for side in (0, 1)
    ]  # where the neighbours of the rows of a side change
    if any(places[-1] < first[row % 2] for row, places in enumerate(part.places)):
        return None
    found = Crossed([], [])
    for side in (0, 1):
        ids = [
            tokens if row % 2 == side else _changed(tokens, at[row] + 1, part.body[row][1], asked.others)
            for row, tokens in enumerate(part.ids)
        ]
        moved = dict(zip(flat, asked.changes(ids), strict=True))
        for row, tokens in enumerate(part.ids):
            begin = row * len(tokens)
            if row % 2 != side:
                found.later.append(moved[begin + at[row]])
            else:
                own = [moved[begin + place] for place in part.places[row] if place >= first[side]]
                found.beside.append(sorted(own)[(len(own) - 1) // 2])
    return found


def causality(asked: Check) -> list[float]:
    """How far the output at a place moves where the tokens after it change, one number a place."""
    if asked.crossed is not None:
        return sorted(asked.crossed.later)
    found, rows = [], [places for places in asked.part.places if places]
    passes = 1 if len(rows) > _ROWS else _ROWS + 2 - len(rows)
    for number in range(passes):
        ids, at = [], []
        for row, (tokens, places) in enumerate(zip(asked.part.ids, asked.part.places, strict=True)):
            if not places:
                ids.append(tokens)
                continue
            place = places[min(len(places) - 1, (number + 1) * len(places) // (passes + 1) + row % 2)]
            at.append(asked.part.flat.index(row * len(tokens) + place))
            ids.append(_changed(tokens, place + 1, asked.part.body[row][1], asked.others))
        moved = asked.changes(ids)
        found += [moved[i] for i in at]
    return sorted(found)


def independence(asked: Check) -> list[float]:
    """How far a row moves where the rows beside it change: the median of its places, one number a row."""
    part, found = asked.part, []
    if sum(bool(places) for places in part.places) < 2:
        raise NotRunError("absent", "the first batch has one row")
    if asked.crossed is not None:
        return sorted(asked.crossed.beside)
    for side in (0, 1):
        ids = [
            tokens if row % 2 == side else _changed(tokens, *part.body[row], asked.others)
            for row, tokens in enumerate(part.ids)
        ]
        moved = list(zip(part.rows, asked.changes(ids), strict=True))
        for row in range(side, len(ids), 2):
            if own := [change for each, change in moved if each == row]:
                found.append(sorted(own)[(len(own) - 1) // 2])
    return sorted(found)


def head(asked: Check) -> list[float]:
    """How far the model's own logits are from those that its head makes of hidden states.

    Then those of what a loss may take for this head; both as shares of the largest.
    """
    if asked.module is asked.root:
        raise NotRunError("not-applicable", "the loss is taken on the model's own logits")
    found = heads.find(asked.root, asked.module, asked.z.shape[-1])
    if found is None or found.other is None:
        raise NotRunError("not-applicable", "nothing else could be taken for the model's head")
    core = mx()
    args, kwargs = asked.call.with_ids(core.array(asked.part.ids, asked._dtype()))
    with still(asked.root, evaluation=True):
        z = trees.output_array(asked.root(*args, **kwargs))
        if z is None or z.ndim != 3:
            raise NotRunError("unseen", "the model answers in another form than logits")
        z = z.reshape(-1, z.shape[-1])[core.array(asked.part.flat)].astype(core.float32)
        largest = core.abs(z).max()
        off = [core.abs(each.logits(asked.z)[0] - z).max() / largest for each in (found, found.other[1])]
        core.eval(off)
    return [float(each.item()) for each in off]


def _others(part: Cut) -> dict[int, int]:
    """For each token that may be changed, another of the batch; what stands at the edges of rows stays."""
    edges = {tokens[i] for tokens in part.ids for i in (0, -1)}
    inner = sorted({token for tokens in part.ids for token in tokens} - edges)
    if len(inner) < 2:
        raise NotRunError("not-applicable", "the first batch has too few different tokens")
    return dict(zip(inner, [*inner[1:], inner[0]], strict=True))


def _changed(tokens: list[int], begin: int, end: int, others: dict[int, int]) -> list[int]:
    return [others.get(token, token) if begin <= i < end else token for i, token in enumerate(tokens)]


def move(root: Any) -> None:
    """Every small parameter, one unit in the last place up or down; `still` puts them back."""
    core = mx()
    unit = max((trees.unit(parameter.dtype) for parameter in trees.parameters(root).values()), default=0.0)
    for _, module in trees.modules(root):
        for name, array in list(dict.items(module)):
            if (
                trees.is_array(array)
                and core.issubdtype(array.dtype, core.floating)
                and 0 < array.size <= _SMALL
            ):
                up = (core.arange(array.size) % 2).reshape(array.shape)
                factor = core.where(up == 0, 1 + unit, 1 - unit).astype(array.dtype)
                dict.__setitem__(module, name, array * factor)


def design(root: Any) -> str | None:
    """What makes rows depend on each other on purpose, read off the structure.

    Experts with room for so many tokens, or statistics of the batch. The library's own experts take every
    token.
    """
    for _, module in trees.modules(root):
        name = type(module).__name__.lower()
        if "batch" in name and "norm" in name:
            return "batch statistics"
        if type(module).__module__.partition(".")[0] in ("mlx", "mlx_lm"):
            continue
        weight = module.get("weight")
        if trees.is_array(weight) and weight.ndim == 3 and "conv" not in name:
            return "experts"
        if any(rows in _alike(module) for rows in _scores(module)):
            return "experts"
    return None


def _scores(module: Any) -> Iterator[int]:
    """How many numbers each layer directly below a module gives."""
    for child in dict.values(module):
        weight: Any = child.get("weight") if trees.is_module(child) else None
        if trees.is_array(weight) and weight.ndim == 2:
            yield int(weight.shape[0])


def _alike(module: Any) -> set[int]:
    """The lengths of the lists of modules directly below a module, and of stacked parameters."""
    lists = {len(item) for item in dict.values(module) if isinstance(item, (list, tuple)) and len(item) > 1}
    stacks = {int(item.shape[0]) for item in dict.values(module) if trees.is_array(item) and item.ndim == 3}
    return lists | stacks
