"""Greedy answers to several prompts, as fast as they can be made without changing a result.

Each prompt is read by itself; then all are answered together, one token of each at a time.

What stands after a prompt is therefore equal to the bit whatever is asked beside it. The tokens of an answer
come from rows of one batch, or, where an earlier answer to the same prompt is known, from a reading of that
answer, which shows at each of its tokens what the model would have said there; either differs from a token by
itself in rounding alone. The first step of a batch is held against single ones, and where they differ by more
than rounding the prompts are answered one by one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..originals import math, time
from ..trees import mx
from .forwardpass import Reader, batch, merged

_TOP = 5  # alternatives kept a position
_FIRST = 8  # tokens of an earlier answer that are read before the others: it may differ at once
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
    def unread(self) -> list[int]:
        assert self.reader is not None
        return [*self.ids, *(token.id for token in self.tokens)][len(self.reader.ids) :]


@dataclass
class Decoded:
    """How the prompts were asked."""

    lines: list[Line]
    together: int = 0  # prompts that were answered in one batch
    apart: float | None = None  # by what share of its range the batch's first step differs from single ones
    shortened: bool = False  # the time was over before the answers were
    read: int = 0  # tokens that were taken from readings of earlier answers


_apart: dict[
    Any, float
] = {}  # by kind of model: what the first batch showed against single steps; infinity: it takes none


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
    for line in lines:
        if line.open and line.draft and time.perf_counter() < end:
            _guarded(line, functools.partial(_follow, asked, line, stop))
    _together(asked, module, stop, end)
    while live := [line for line in lines if line.open]:
        for line in live:
            if time.perf_counter() > end:
                line.finish, asked.shortened = "length", True
            else:
                _guarded(line, functools.partial(_next, line, stop))
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


def _next(line: Line, stop: set[int]) -> None:
    line.add(choose(_read(line)[-1:]), stop)


def _read(line: Line) -> Any:
    assert line.reader is not None
    return line.reader.read(line.unread)


def _follow(asked: Decoded, line: Line, stop: set[int]) -> None:
    """Read the earlier answer as long as the model says the same."""
    assert line.reader is not None
    for size in (_FIRST, line.limit):
        done = len(line.tokens)
        if not line.open or [token.id for token in line.tokens] != list(line.draft[:done]):
            return
        ahead = list(line.draft[done - 1 : done - 1 + size])
        choice = choose(line.reader.read(ahead))
        same = next(
            (
                i
                for i, (token, next_) in enumerate(zip(choice, [*ahead[1:], None], strict=True))
                if token.id != next_
            )
        )
        line.add(choice[: same + 1], stop)
        line.reader.back(len(ahead) - 1 - same)
        asked.read += len(line.tokens) - done


def _together(asked: Decoded, module: Any, stop: set[int], end: float) -> None:
    """Answer what is open in one batch; what it leaves open is to be answered one by one."""
    live = [line for line in asked.lines if line.open]
    if len(live) < 2:
        return
    kind = (type(module), *(type(item) for line in live if line.reader for item in line.reader.cache or ()))
    if _apart.get(kind) == math.inf:
        return
    try:
        for line in live:  # a reader may stand before the last two tokens of what it read ahead
            if len(line.unread) > 1:
                _advance(line)
        cache = merged([line.reader.cache for line in live if line.reader])
        if cache is None:
            return
        _steps(asked, module, live, cache, kind, stop, end)
    except Exception:  # noqa: BLE001   this kind of model takes no batches: they are asked one by one
        _apart[kind] = math.inf


def _advance(line: Line) -> None:
    assert line.reader is not None
    mx().eval(line.reader.read(line.unread[:-1]))


def _steps(
    asked: Decoded, module: Any, live: list[Line], cache: Any, kind: Any, stop: set[int], end: float
) -> None:
    while any(line.open for line in live):
        if time.perf_counter() > end:
            for line in live:
                asked.shortened = asked.shortened or line.open
                line.finish = line.finish or "length"
            return
        after = batch(module, [[line.tokens[-1].id] for line in live], cache)[:, -1]
        if kind not in _apart:
            singles = mx().stack([_read(line)[-1] for line in live])
            difference = _difference(after, singles)
            _apart[kind], after = (difference, after) if difference <= _bound(after) else (math.inf, singles)
        for line, token in zip(live, choose(after.astype(mx().float32)), strict=True):
            line.add([token], stop)
        if _apart[kind] == math.inf:
            return
        asked.together, asked.apart = len(live), _apart[kind]


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
