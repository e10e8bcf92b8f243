"""Generation by mlx-lm: generate, stream_generate, generate_step and batches.

Each is recorded at the outermost call that the program made.

The library's generators run as they would: what the program sends, throws or closes reaches them, and each
item is handed on in the moment it comes.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Generator
from typing import Any

from ..capture import facts
from ..generation import loops, samplers
from ..generation.record import Recording, close_all, free, now, running
from ..moments import Moments
from ..run import watch
from ..wrapping import bound, unseen, wrap

# -- one prompt ----------------------------------------------------------------------------------------------


def _generate(original: Callable[..., Any]) -> Callable[..., Any]:
    def generate(*args: Any, **kwargs: Any) -> Any:
        recording = _opened("generate", original, args, kwargs)
        if recording is None:
            return original(*args, **kwargs)
        try:
            with running(recording):
                result = original(*args, **kwargs)
        except Exception:
            recording.close("error")
            raise
        finally:
            recording.close()
        return result

    return generate


def _stream_generate(original: Callable[..., Any]) -> Callable[..., Any]:
    def stream_generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return (yield from _Tap("stream_generate", original, args, kwargs, _response))

    return stream_generate


def _generate_step(original: Callable[..., Any]) -> Callable[..., Any]:
    def generate_step(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        return (yield from _Tap("generate_step", original, args, kwargs, _step))

    return generate_step


def _opened(
    via: str, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Recording | None:
    """The recording that this call begins; None inside another, or where nothing may be looked at."""
    if not free():
        return None
    with watch.looking(via):
        call = bound(original, args, kwargs)
        tokenizer = call.get("tokenizer")
        recording = Recording(via, call["model"], tokenizer, call.get("prompt"))
        if tokenizer is not None:
            recording.stop = facts.stop_ids(tokenizer)
            with contextlib.suppress(TypeError):  # a tokenizer of one's own need not have a length
                recording.settings["vocabulary"] = len(facts.inner(tokenizer))
                recording.settings["vocabulary_digest"] = facts.vocabulary_digest(facts.inner(tokenizer))
        return recording
    return None


class _Tap:
    """Stands in `yield from` for a generator of the library's.

    It opens a recording at its first step, or joins the one that runs.
    """

    def __init__(
        self,
        via: str,
        original: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        take: Callable[[Recording, Any], None],
    ) -> None:
        self.own = _opened(via, original, args, kwargs)
        self.recording = self.own or now.recording
        self.take = take
        if self.recording is not None and via == "generate_step":
            with watch.looking(via):
                _steps(self.recording, bound(original, args, kwargs))
        self.generator = original(*args, **kwargs)

    def __iter__(self) -> _Tap:
        return self

    @unseen
    def __next__(self) -> Any:
        return self._run(self.generator.__next__)

    @unseen
    def send(self, value: Any) -> Any:
        return self._run(self.generator.send, value)

    @unseen
    def throw(self, *error: Any) -> Any:
        return self._run(self.generator.throw, *error)

    def close(self) -> None:
        try:
            with running(self.recording):
                self.generator.close()
        finally:
            if self.own:
                self.own.close()

    @unseen
    def _run(self, function: Callable[..., Any], *values: Any) -> Any:
        try:
            with running(self.recording):
                item = function(*values)
        except BaseException as error:
            if self.own:
                self.own.close(
                    "error" if isinstance(error, Exception) and not isinstance(error, StopIteration) else None
                )
            raise
        if self.recording is not None:
            with watch.looking("token"):
                self.take(self.recording, item)
        return item


def _steps(recording: Recording, call: dict[str, Any]) -> None:
    """What the innermost generator was given decides the output."""
    if call.get("model") is not recording.module or recording.begun:
        return
    if call.get("draft_model") is not None:
        recording.settings["draft"] = True
    for key in ("max_tokens", "max_kv_size", "kv_bits"):
        if call.get(key) is not None:
            recording.settings[key] = call[key]
    if call.get("logits_processors"):
        recording.settings["logits_processors"] = len(call["logits_processors"])
    recording.begin(call.get("prompt"), call.get("sampler"), call.get("prompt_cache"))


def _step(recording: Recording, item: Any) -> None:
    recording.saw(int(item[0]), item[1])


def _response(recording: Recording, item: Any) -> None:
    recording.output = (recording.output or "") + item.text
    if item.finish_reason is not None:
        recording.finish = item.finish_reason


# -- batches -------------------------------------------------------------------------------------------------

_stops: weakref.WeakKeyDictionary[Any, set[int]] = weakref.WeakKeyDictionary()
_rows: weakref.WeakKeyDictionary[Any, dict[int, Recording]] = weakref.WeakKeyDictionary()
_tokenizers: list[Any] = []  # of the batch_generate calls that run


def _batch_generate(original: Callable[..., Any]) -> Callable[..., Any]:
    def batch_generate(*args: Any, **kwargs: Any) -> Any:
        _tokenizers.append(bound(original, args, kwargs).get("tokenizer"))
        try:
            return original(*args, **kwargs)
        finally:
            _tokenizers.pop()

    return batch_generate


def _batch_made(original: Callable[..., Any]) -> Callable[..., Any]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if watch.on:
            with watch.looking("BatchGenerator"):
                given = bound(original, (self, *args), kwargs).get("stop_tokens") or ()
                _stops[self] = {
                    int(argument[0] if isinstance(argument, (list, tuple)) else argument)
                    for argument in given
                }

    return __init__


def _insert(original: Callable[..., Any]) -> Callable[..., Any]:
    """Sequences come into a batch: each is a generation of its own."""

    def insert(self: Any, *args: Any, **kwargs: Any) -> Any:
        recordings: list[Recording] = []
        call: dict[str, Any] = {}
        if free():
            with watch.looking("batch"):
                call = bound(original, (self, *args), kwargs)
                recordings = [_sequence(self, call, row) for row in range(len(call["prompts"]))]
        now.batch += 1
        try:
            result = original(self, *args, **kwargs)
        finally:
            now.batch -= 1
        with watch.looking("batch"):
            _rows.setdefault(self, {}).update(zip(result, recordings, strict=False))
        return result

    return insert


def _sequence(batch: Any, call: dict[str, Any], row: int) -> Recording:
    def of(name: str) -> Any:
        given = call.get(name)
        return given[row] if isinstance(given, (list, tuple)) and row < len(given) else None

    recording = Recording("batch", batch.model, _tokenizers[-1] if _tokenizers else None)
    recording.stop = _stops.get(batch)
    recording.settings = {"max_tokens": of("max_tokens") or batch.max_tokens}
    recording.begin(call["prompts"][row], of("samplers") or getattr(batch, "sampler", None), of("caches"))
    recording.cache = None  # a batch reads a cache that it is given, and fills another
    recording.history = tuple(of("all_tokens") or ())
    return recording


def _next(original: Callable[..., Any]) -> Callable[..., Any]:
    def following(self: Any, *args: Any, **kwargs: Any) -> Any:
        now.batch += 1
        try:
            result = original(self, *args, **kwargs)
        finally:
            now.batch -= 1
        if now.batch == 0 and watch.on:
            with watch.looking("batch"):
                _responses(self, result)
        return result

    return following


def _responses(batch: Any, result: Any) -> None:
    rows = _rows.get(batch, {})
    for response in (
        item for part in result for item in (part if isinstance(part, (list, tuple)) else [part])
    ):
        recording = rows.get(getattr(response, "uid", -1))
        if recording is not None and hasattr(response, "token"):
            recording.saw(int(response.token), response.logprobs if recording.sampler == "unknown" else None)
            if response.finish_reason is not None:
                recording.close(response.finish_reason)
                del rows[response.uid]


def _module(module: Any) -> None:
    for name in ("generate_step", "speculative_generate_step"):
        wrap(module, name, _generate_step)
    wrap(module, "stream_generate", _stream_generate)
    wrap(module, "generate", _generate)
    wrap(module, "batch_generate", _batch_generate)
    batch = getattr(module, "BatchGenerator", None)
    if batch is not None:
        wrap(batch, "__init__", _batch_made)
        wrap(batch, "insert", _insert)
        for name in ("next", "next_generated"):
            wrap(batch, name, _next)


def install(run: Moments) -> None:
    run.on_exit(close_all)
    run.on_sight(loops.seen)
    run.on_boundary(loops.flush)
    run.patch("mlx_lm.generate", _module)
    run.patch("mlx_lm.sample_utils", samplers.follow)
