"""Greedy answers to several prompts, as fast as they can be made without changing a result.

Each prompt is read by itself; then all are answered together. A forward reads the newest token of each answer
and after it what may come next: an earlier answer to the same prompt while this one is the same, else what
came after the same token before. It shows at each token what the model says there, and what was guessed right
needs no forward of its own.

What stands after a prompt is therefore equal to the bit whatever is asked beside it. The tokens of an answer
come from rows of one batch, several at once, and differ from a token by itself in rounding alone. What the
first forwards of a batch said, until one read guesses and one read on in rows of unequal length, is held
against what each line says by itself. Where they differ by more than rounding it is dropped, and the prompts
are answered one by one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ..originals import math, time
from ..trees import mx
from .forwardpass import Reader, batch, drop, merged, room, trim, uneven

_TOP = 5  # alternatives kept a position
_AHEAD = 8  # tokens of an answer that are read at once, at most: so many cost hardly more than one
_NUMBERS = 1 << 22  # of logits at most that a forward gives where it reads guesses
# share of the logits' range by which a row of a batch may differ from one alone
_ROUNDING = {"float32": 1e-3}
_COARSE = 5e-2  # the same for logits of 16 bits


@dataclass(frozen=True)
class Token:
    """One token of an answer; `top` are (token, log-probability) of the best few."""

    id: int
    logprob: float
    top: list[tuple[int, float]]


@dataclass
class Line:
    """One prompt, and its answer as far as it is made.

    Args:
        limit: so many tokens the answer may have.
        draft: an earlier answer to the same prompt.
    """

    ids: tuple[int, ...]
    limit: int
    draft: Sequence[int] = ()
    first: Any = None  # logits after the prompt: (vocabulary,), float32
    tokens: list[Token] = field(default_factory=list)
    finish: str | None = None  # length | stop
    error: Exception | None = None
    reader: Reader | None = None
    window: int = _AHEAD  # tokens that are read at once, where so many can be guessed

    @property
    def open(self) -> bool:
        return self.error is None and self.first is not None and self.finish is None

    def add(self, tokens: Sequence[Token], stop: set[int]) -> None:
        """The next tokens; what comes after the end of the answer is left out."""
        for token in tokens:
            if self.finish is None:
                self.tokens.append(token)
                ended = token.id in stop
                self.finish = "stop" if ended else "length" if len(self.tokens) >= self.limit else None

    @property
    def same(self) -> bool:
        """Is the answer so far the earlier one's beginning?"""
        return [token.id for token in self.tokens] == list(self.draft[: len(self.tokens)])

    def ahead(self, begin: int, guess: bool, width: int = 0) -> list[int]:
        """The tokens from number `begin` of the answer on, and after them what may come next.

        So many as this line's window takes, or `width` in all where more are read anyway.
        """
        said = [token.id for token in self.tokens]
        most = max(self.window, width - (len(said) - 1 - begin))
        room = max(0, min(most, self.limit - len(said)) - 1) if guess else 0
        if self.same:
            return [*said, *self.draft[len(said) :][:room]][begin:]
        after = dict(pairwise(said))
        for _ in range(room):
            if said[-1] not in after:
                break
            said.append(after[said[-1]])
        return said[begin:]

    def take(self, ids: Sequence[int], begin: int, choices: Sequence[Token], stop: set[int]) -> int:
        """Go on with what the model said after each of `ids`, which `ahead(begin)` gave, as far as it holds.

        How many tokens came of a reading of guesses.
        """
        before, place = len(self.tokens), len(self.tokens) - 1 - begin
        if place >= len(ids):
            return 0
        right = [choice.id == guess for choice, guess in zip(choices[place:], ids[place + 1 :], strict=False)]
        count = (right + [False]).index(False)
        self.add(choices[place : place + count + 1], stop)
        if not right:
            return 0
        self.window = min(2 * self.window, _AHEAD) if all(right) else count + 2
        return len(self.tokens) - before


@dataclass
class Decoded:
    """How the prompts were asked."""

    lines: list[Line]
    together: int = 0  # prompts that were answered in one batch
    apart: float | None = None  # by what share of its range the batch's first step differs from single ones
    shortened: bool = False  # the time was over before the answers were
    read: int = 0  # tokens that were taken from readings of what was guessed


@dataclass
class _Shown:
    """What the batches of one kind of model showed against single forwards."""

    apart: float | None = None  # the largest difference; None: not looked at; infinity: it takes no batches
    ways: set[str] = field(default_factory=set)  # of reading that were looked at: "guesses", "uneven"


_shown: dict[Any, _Shown] = {}  # by kind of model


def answer(
    module: Any, lines: list[Line], stop: set[int], seconds: float, accept: Callable[[Line], bool]
) -> Decoded:
    """Answer each line; one that fails holds its error, and the others go on.

    Args:
        seconds: when the time is over the answers end where they are, and prompts that were not begun have no
        `first`.
        accept: called with a line whose prompt was read; True where it has filled in the answer itself.
    """
    asked, end = Decoded(lines), time.perf_counter() + seconds
    asking = [line for line in lines if line.error is None]
    for line in asking:
        if time.perf_counter() > end and line is not asking[0]:
            break
        _guarded(line, functools.partial(_begin, module, line, stop, accept))
    _together(asked, module, stop, end)
    while live := [line for line in lines if line.open]:
        for line in live:
            if time.perf_counter() > end:
                line.finish, asked.shortened = "length", True
            else:
                _guarded(line, functools.partial(_next, asked, line, stop))
    return asked


def _guarded(line: Line, function: Callable[[], None]) -> None:
    try:
        function()
    except Exception as error:  # noqa: BLE001   the other prompts go on
        line.error = error


def _begin(module: Any, line: Line, stop: set[int], accept: Callable[[Line], bool]) -> None:
    line.reader = Reader(module)
    line.first = line.reader.read(line.ids)[-1]
    mx().eval(line.first)
    if not accept(line):
        line.add(choose(line.first[None]), stop)


def _next(asked: Decoded, line: Line, stop: set[int]) -> None:
    """Go on with one line by itself."""
    reader = line.reader
    assert reader is not None
    begin = len(reader.ids) - len(line.ids)
    # where the reader cannot go back it reads all again, which an earlier answer alone may be worth
    ids = line.ahead(begin, guess=reader.goes_back or line.same)
    asked.read += line.take(ids, begin, choose(reader.read(ids)), stop)
    reader.back(len(reader.ids) - len(line.ids) - (len(line.tokens) - 1))


def _together(asked: Decoded, module: Any, stop: set[int], end: float) -> None:
    """Answer what is open in one batch; what it leaves open is to be answered one by one."""
    live = [line for line in asked.lines if line.open]
    if len(live) < 2:
        return
    kind = (type(module), *(type(item) for line in live if line.reader for item in line.reader.cache or ()))
    shown = _shown.setdefault(kind, _Shown())
    if shown.apart == math.inf:
        return
    made: _Batch | None = None
    try:
        cache = merged([line.reader.cache for line in live if line.reader])
        if cache is not None:
            made = _Batch(asked, module, live, cache, shown)
            made.answer(stop, end)
    except Exception:  # noqa: BLE001   this kind of model takes no batches: they are asked one by one
        shown.apart = math.inf
    if made and shown.apart == math.inf:
        made.forget()


class _Batch:
    """Lines that are answered in one batch, and how many tokens of each answer its cache holds."""

    def __init__(self, asked: Decoded, module: Any, lines: list[Line], cache: Any, shown: _Shown) -> None:
        self.asked, self.module, self.lines, self.cache, self.shown = asked, module, lines, cache, shown
        self.held = [0] * len(lines)
        self.room = room(cache) - max(len(line.ids) for line in lines)
        self.by_row = uneven(cache)
        self.ways: set[str] = set()  # in which it read
        self.said: list[list[Any]] = [[] for _ in lines]  # logits that no single forward was asked for

    def answer(self, stop: set[int], end: float) -> None:
        """Go on until all are answered, the time is over, or rows of the batch are not as single ones."""
        while live := any(line.open for line in self.lines):
            if time.perf_counter() > end:
                break
            rows, width = self._rows()
            self.ways |= {"guesses"} if width > 1 else set()
            self.ways |= {"uneven"} if self.by_row and len(set(self.held)) > 1 else set()
            after = batch(self.module, [ids + ids[-1:] * (width - len(ids)) for ids in rows], self.cache)
            self._take(rows, after, stop)
            seen = self.ways >= {"guesses", "uneven"} or sum(z.size for z in sum(self.said, [])) > _NUMBERS
            if seen and not self._as_single():
                return
        if self._as_single():
            self.asked.together, self.asked.apart = len(self.lines), self.shown.apart
            self.asked.shortened = self.asked.shortened or live
            for line in self.lines:
                line.finish = line.finish or "length"

    def forget(self) -> None:
        """As if nothing had been said but what stands after each prompt."""
        self.asked.read, self.asked.together = 0, 0
        for line in self.lines:
            del line.tokens[1:]
            line.finish, line.window = None, _AHEAD
            if line.reader is not None:
                _guarded(line, functools.partial(line.reader.back, len(line.reader.ids) - len(line.ids)))

    def _rows(self) -> tuple[list[list[int]], int]:
        """What each line reads next, and the width of all: what those read that are behind the others.

        No more than there is memory and room for. A line that is before the others reads what it said again.
        """
        most = _NUMBERS // (len(self.lines) * self.lines[0].first.size)
        most = max(1, int(min(most, self.room - max(self.held) - 1, _NUMBERS)))
        ahead = [line.ahead(held, most > 1) for line, held in zip(self.lines, self.held, strict=True)]
        last = [
            ids
            for ids, line, held in zip(ahead, self.lines, self.held, strict=True)
            if line.open and len(line.tokens) == held + 1
        ]
        width = min(max(map(len, last)), most)
        ahead = [line.ahead(held, most > 1, width) for line, held in zip(self.lines, self.held, strict=True)]
        return [ids[:width] or [self.lines[0].ids[-1]] for ids in ahead], width

    def _take(self, rows: list[list[int]], after: Any, stop: set[int]) -> None:
        """What the model said after each row, as far as it holds; what was guessed wrong leaves the cache."""
        width = after.shape[1]
        look = self.shown.apart is None or bool(self.ways - self.shown.ways)
        choices = choose(after.reshape(-1, after.shape[-1]).astype(mx().float32))
        excess: dict[int, int] = {}
        for i, (line, ids) in enumerate(zip(self.lines, rows, strict=True)):
            if line.open:
                before = len(line.tokens) - 1 - self.held[i]  # of the row was read, and looked at, earlier
                here = choices[i * width : i * width + len(ids)]
                self.asked.read += line.take(ids, self.held[i], here, stop)
                right = min(len(line.tokens) - 1 - self.held[i], len(ids))
                if look and right > before:
                    self.said[i].append(after[i, before:right])
                if line.open:
                    excess[i] = width - right
        if excess:
            self._drop(width, excess)

    def _drop(self, width: int, excess: dict[int, int]) -> None:
        """Take the last tokens out of the rows that are open: of each its own number, or of all the most."""
        common = min(excess.values()) if self.by_row else max(excess.values())
        trim(self.cache, common)
        more = [max(0, excess.get(i, 0) - common) for i in range(len(self.lines))]
        if any(more):
            drop(self.cache, more)
        self.held = [held + width - common - own for held, own in zip(self.held, more, strict=True)]

    def _as_single(self) -> bool:
        """Does the batch say what each line says by itself? Asked of what was not held against that yet."""
        differences = []
        for line, said in zip(self.lines, self.said, strict=True):
            if said:
                z = mx().concatenate(said)
                differences.append((_difference(z, _alone(line, len(z))), _bound(z)))
        self.said = [[] for _ in self.lines]
        if differences:
            rounding = all(each <= bound for each, bound in differences)  # NaN is none
            self.shown.apart = max([self.shown.apart or 0.0, *(each for each, _ in differences)])
            self.shown.apart = self.shown.apart if rounding else math.inf
            self.shown.ways |= self.ways
        return self.shown.apart != math.inf


def _alone(line: Line, count: int) -> Any:
    """What the line's own reader says after the last `count` tokens of its answer that were read."""
    reader = line.reader
    assert reader is not None
    said = [token.id for token in line.tokens[:-1]]
    after = reader.read(said[len(reader.ids) - len(line.ids) :])[-count:]
    mx().eval(after)
    return after


def _bound(z: Any) -> float:
    return _ROUNDING.get(str(z.dtype).rpartition(".")[2], _COARSE)


def _difference(some: Any, others: Any) -> float:
    """The largest difference, as a share of the range of the logits."""
    core = mx()
    largest = core.abs(some.astype(core.float32) - others).max()
    spread = (others.max(-1) - others.min(-1)).min()
    return float((largest / core.maximum(spread, 1e-30)).item())


def choose(after: Any) -> list[Token]:
    """The best token after each of some positions, and the best few, of logits (positions, vocabulary).

    One evaluation.
    """
    core = mx()
    scores = after - core.logsumexp(after, -1, keepdims=True)
    count = min(_TOP, scores.shape[-1])
    best = core.argmax(after, -1, keepdims=True)
    few = core.argpartition(-scores, count - 1, -1)[:, :count]
    values, own = core.take_along_axis(scores, few, -1), core.take_along_axis(scores, best, -1)
    core.eval(best, few, values, own)
    columns = (best[:, 0].tolist(), own[:, 0].tolist(), few.tolist(), values.tolist())
    return [
        Token(
            token,
            logprob,
            sorted(zip(ids, logprobs, strict=True), key=lambda pair: (-_rank(pair[1]), pair[0])),
        )
        for token, logprob, ids, logprobs in zip(*columns, strict=True)
    ]


def _rank(value: float) -> float:
    return -math.inf if math.isnan(value) else value
