"""Generation by a loop of the program's own.

The model is called, outside a gradient, with growing or cached inputs.

The first call of a model is held as its ids; only a second call that goes on where it stopped makes a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..capture import facts
from ..capture.probe import Words
from ..models import Model
from ..originals import threading
from ..run import watch
from ..trees import is_array, is_module, mx, output_array
from ..wrapping import weakly, wrap
from . import cache as caches
from . import plaincache
from .record import Recording, free

_ROWS = 4  # rows of a batch that are followed
_STEP = 16  # ids that one step of a cached loop may read at once


class _Local(threading.local):
    loop: _Loop | None = None


_local = _Local()


class _Loop:
    """Calls of one model that may be one generation a row."""

    def __init__(self, module: Any, inputs: Any, cache: Any) -> None:
        self.module, self.cache = weakly(module), _mark(cache)
        self.cached = cache is not None
        self.returned: Any = _mark(None)  # a cache that the model gave back with its logits
        self.last: list[list[int]] = inputs.tolist() if inputs.shape[0] <= _ROWS else []
        self.rows: list[list[int]] = []  # ids read so far, by row
        self.prompt = inputs.shape[1]  # length of the prompt
        self.cache_row: dict[str, Any] = {}  # what the cache held before
        self.best: list[int] | None = None  # what each row's last logits say
        self.hits: list[list[bool]] = []  # of each id after the prompt, by row: was it what the logits said?
        self.recordings: list[Recording] = []

    def goes_on(self, module: Any, inputs: Any, cache: Any) -> bool:
        """Does this call read on where the last one stopped?"""
        length = inputs.shape[1]
        if module is not self.module() or not self.last or inputs.shape[0] != len(self.last):
            return False
        if cache is not None or self.cached:
            return (
                cache is not None
                and (_is(cache, self.cache) or _is(cache, self.returned))
                and length <= _STEP
                # the same ids once more are no next piece of a prompt
                and not (length > 1 and caches.holds(cache, inputs[0].tolist()))
            )
        before, last = len(self.last[0]), self.last
        if length == before + 1:
            return bool([row[:-1] for row in inputs.tolist()] == last)
        return (
            bool(self.recordings)
            and length == before > 1
            and [row[:-1] for row in inputs.tolist()] == [row[1:] for row in last]
        )

    def step(self, inputs: Any, cached: bool) -> None:
        """One more call of the loop.

        The first makes the recordings; each brings the ids that were chosen after the call before.
        """
        self.cached = self.cached or cached
        if not self.recordings:
            self._begin()
        fresh = (inputs if self.cached else inputs[:, -1:]).tolist()
        if len(fresh[0]) > 1 and len(self.rows[0]) == self.prompt:  # a prompt read in pieces
            self.prompt += len(fresh[0])
        for row, ids in enumerate(fresh):
            self.rows[row] += ids
            if len(self.rows[row]) > self.prompt:
                self.hits[row].append(self.best is None or ids[0] == self.best[row])
        self.last = inputs.tolist()

    def _begin(self) -> None:
        self.rows = [list(row) for row in self.last]
        self.hits = [[] for _ in self.rows]
        for row in self.rows:
            recording = Recording("loop", self.module())
            recording.begin(row, known="unknown")
            recording.row |= self.cache_row
            self.recordings.append(recording)

    def answered(self, result: Any) -> None:
        """The call's logits: which token each row's last position says is best. Asked of loops alone."""
        if isinstance(result, (tuple, list)) and result:
            self.returned = _mark(result[1] if len(result) == 2 else None)
        self.best, logits = None, output_array(result)
        if self.recordings and logits is not None and logits.ndim == 3:
            self.best = mx().argmax(logits[:, -1], axis=-1).tolist()

    def close(self) -> None:
        """The loop is over: what a greedy loop chose last is what its last logits say."""
        for row, recording in enumerate(self.recordings):
            start = self._prompt_end(recording.model, self.rows[row])
            recording.prompt_ids, output = self.rows[row][:start], self.rows[row][start:]
            greedy = all(self.hits[row][start - self.prompt :])
            recording.sampler = "unknown" if self.best is None else "greedy" if greedy else "sampled"
            finish = None
            if greedy and self.best is not None and recording.model is not None:
                output.append(self.best[row])
                finish = "stop" if output[-1] in Words(recording.model).stop else "length"
            recording.ids = output
            recording.close(finish)

    def _prompt_end(self, model: Model | None, ids: list[int]) -> int:
        """Where the prompt ends.

        A cached loop may read the prompt's last id by itself, and what the template writes before an
        answer is the prompt's.
        """
        frame = facts.tokenizer(model).get("frame") if model else None
        middle = (frame or {}).get("middle") or []
        last = ids[: self.prompt + 1]
        return len(last) if self.cached and middle and last[-len(middle) :] == middle else self.prompt


def _mark(cache: Any) -> Callable[[], Any]:
    """A weak reference to a cache, by that of its first layer: a list has none of its own."""
    while isinstance(cache, (list, tuple)):
        cache = next(iter(cache), None)
    return weakly(cache)


def _is(cache: Any, mark: Callable[[], Any]) -> bool:
    first = _mark(cache)()
    return first is not None and first is mark()


def _call(original: Callable[..., Any]) -> Callable[..., Any]:
    """A model's __call__."""

    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not free():
            return original(self, *args, **kwargs)
        loop: _Loop | None = None
        with watch.looking("a model's call"):
            loop = _before(self, args, kwargs)
        result = original(self, *args, **kwargs)
        if loop is not None:
            with watch.looking("a model's call"):
                loop.answered(result)
        return result

    return __call__


def _before(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Loop | None:
    inputs: Any = args[0] if args else next(iter(kwargs.values()), None)
    model = watch.record_of(module)
    if (
        model is None
        or not is_array(inputs)
        or inputs.ndim != 2
        or not mx().issubdtype(inputs.dtype, mx().integer)
    ):
        return None
    cache = kwargs.get("cache", args[1] if len(args) > 1 and isinstance(args[1], (list, tuple)) else None)
    loop, _local.loop = _local.loop, None  # while it begins, a boundary must not end it
    if loop is not None and loop.goes_on(module, inputs, cache):
        loop.step(inputs, cache is not None)
    else:
        if loop is not None:
            loop.close()
        loop = _Loop(module, inputs, cache)
        if cache is not None and inputs.shape[0] == 1:
            loop.cache_row = caches.look(model, cache, inputs[0].tolist(), True)
            plaincache.look(model, module, inputs, cache, len(args) == 2 and not kwargs)
    if cache is not None and inputs.shape[0] == 1:
        caches.filled(model, cache, inputs[0].tolist())
    _local.loop = loop
    return loop


def flush() -> None:
    """Close the loop of this thread."""
    loop, _local.loop = _local.loop, None
    if loop is not None:
        loop.close()


def seen(model: Model) -> None:
    """A model became known: watch the calls of its class."""
    if is_module(model.module) and any("__call__" in vars(base) for base in type(model.module).__mro__):
        wrap(type(model.module), "__call__", _call)
