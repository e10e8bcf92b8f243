"""One observed generation, from the moment before its first token to the row that stands for it."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from ..capture import boundaries, facts, points
from ..capture.probe import Words
from ..models import Model
from ..originals import threading, time
from ..places import where
from ..run import watch
from ..trees import is_array
from ..wrapping import weakly
from . import cache, promptcheck, samplers

_LOOKS = 8  # generations of one capture that are looked at
_ALL_LOOKS = 40  # generations of one model that are looked at
_ROWS = 2000  # generations of a process that are written

# (prompt, text) of the last generations: a program may train on its own answers
answers: deque[tuple[tuple[int, ...], str]] = deque(maxlen=256)
_count = 0
_looked: dict[Any, int] = {}  # looks taken, by capture, by model, and of caches
_open: list[Recording] = []


class _Now(threading.local):
    recording: Recording | None = None  # the generation whose code runs
    batch = 0  # inside a batch generator


now = _Now()


class Recording:
    """What is known of a generation.

    `begin` looks at the model, `saw` takes a token, `close` writes the row, once.
    """

    def __init__(self, via: str, module: Any, tokenizer: Any = None, prompt: Any = None) -> None:
        self.via, self._module, self.place = via, weakly(module), where()
        self.model: Model | None = None
        self.row: dict[str, Any] = {}
        self.settings: dict[str, Any] = {}
        self.stop: set[int] | None = None
        self.prompt = prompt if isinstance(prompt, str) else None
        self.prompt_ids = _ids(prompt)
        self.history: tuple[int, ...] = ()  # read into its cache before the prompt, where the call says so
        self.output: str | None = None
        self.ids: list[int] = []
        self.finish: str | None = None  # as the library said
        self.sampler = "unknown"
        self.cache: Any = None
        self.begun = self.looked = self.closed = False
        self._open(tokenizer)

    @property
    def module(self) -> Any:
        """The model that generates; None where the program dropped it."""
        return self._module()

    def _open(self, tokenizer: Any) -> None:
        """Take the captures that are due, and number the generation."""
        global _count
        if tokenizer is not None:
            points.with_tokenizer(self.module, tokenizer)
        capture = boundaries.generating(self.module)
        self.model = points.model(self.module)
        with watch.lock:
            _count += 1
            self.number = _count
            _open.append(self)
        self.row = {
            "capture": capture,
            "updates": self.model.updates if self.model else None,
            "time": time.time(),
        }

    def begin(
        self, prompt: Any, sampler: Any = None, prompt_cache: Any = None, known: str | None = None
    ) -> None:
        """The prompt's ids and what decides the output are known: look at the model.

        A model that was looked at often already is left alone.

        Args:
            known: the sampler's kind where it is not told by `sampler` (a loop by hand).
        """
        self.prompt_ids = _ids(prompt)
        self.sampler, chosen = (known, {}) if known else samplers.describe(sampler)
        self.settings |= chosen
        self.cache = prompt_cache
        self.begun = True
        model, ids = self.model, self.prompt_ids or []
        if model is None:
            return
        sound = bool(ids) and _sound(self.module, prompt, ids)
        self.looked = (
            sound
            and _budget((model.number, self.row["capture"]), int(watch.options.get("looks") or _LOOKS))
            and _budget(model.number, _ALL_LOOKS)
        )
        if self.looked:
            self.row["training_modules"] = promptcheck.training_modules(self.module)
            self._look(
                "parameters of a generation",
                lambda: {"parameters_digest": promptcheck.parameters_digest(self.module)},
            )
            self._look("forwards of a generation", lambda: promptcheck.forwards(self.module, ids))
        compare = (
            sound
            and bool(cache.tokens_in(prompt_cache))
            and _budget((model.number, model.updates, "cache"), _LOOKS)
        )
        self._look("prompt cache", lambda: cache.look(model, prompt_cache, ids, compare))

    def _look(self, what: str, function: Any) -> None:
        with watch.looking(what):
            self.row |= function()

    def saw(self, token: int, scores: Any = None) -> None:
        """A token came out; `scores` are the log-probabilities (vocabulary,) that its sampler was given."""
        self.ids.append(token)
        if self.sampler == "unknown" and self.looked and scores is not None:
            with watch.looking("sampler of a generation"):
                if int(scores.argmax().item()) != token:
                    self.sampler = "sampled"

    def close(self, finish: str | None = None) -> None:
        """Write the row; `finish` is None where the program stopped asking."""
        if self.closed:
            return
        self.closed = True
        with watch.looking("generation"):
            _open.remove(self)
            self._write(finish or self.finish)

    def _write(self, finish: str | None) -> None:
        if self.model is None:
            return
        if self.cache is not None and self.prompt_ids is not None:
            cache.filled(self.model, self.cache, [*self.prompt_ids, *self.ids])
        if self.number > _ROWS:
            watch.missing(f"generations after the first {_ROWS}", "they are counted, not recorded")
            return
        words = Words(self.model)
        last = self.ids[-1] if self.ids else None
        if finish is None and last is not None:
            limit = self.settings.get("max_tokens")
            finish = (
                "stop" if last in (self.stop or words.stop) else "length" if limit == len(self.ids) else None
            )
        text = (
            words.text(self.ids[:-1] if finish == "stop" else self.ids)
            if self.output is None
            else self.output
        )
        if text:
            answers.append(((*self.history, *(self.prompt_ids or ())), text))
        watch.row(
            "generations", generation=self.number, model=self.model.number, **self.row, via=self.via,
            prompt_tokens=None if self.prompt_ids is None else len(self.prompt_ids),
            output_tokens=len(self.ids), finish_reason=finish, sampler=self.sampler, settings=self.settings,
            stop_tokens=None if self.stop is None else len(self.stop),
            stop_set=None if self.stop is None else sorted(self.stop), place=self.place,
            prompt=words.text(self.prompt_ids) if self.prompt is None and self.prompt_ids else self.prompt,
            output=text, prompt_ids=self.prompt_ids, output_ids=self.ids,
        )  # fmt: skip
        watch.event("generate", self.model, self.place, generation=self.number)


def _budget(of: Any, limit: int) -> bool:
    """Take one of the looks that this may have; False where they are used up."""
    _looked[of] = _looked.get(of, 0) + 1
    return _looked[of] <= limit


@contextlib.contextmanager
def running(recording: Recording | None) -> Iterator[None]:
    """The code of this generation runs: what is called inside belongs to it."""
    before = now.recording
    now.recording = recording or before
    try:
        yield
    finally:
        now.recording = before


def free() -> bool:
    """May a generation be seen to begin here?"""
    return watch.observing and not watch.local.library and now.recording is None and not now.batch


def _sound(module: Any, prompt: Any, ids: list[int]) -> bool:
    """Would the library take this prompt?

    We put no prompt to the model that it refuses: an id out of range ends the process.
    """
    rows = facts.embedding_rows(module)
    return (
        (not is_array(prompt) or prompt.ndim == 1)
        and rows is not None
        and all(0 <= index < rows for index in ids)
    )


def _ids(prompt: Any) -> list[int] | None:
    if is_array(prompt):
        return [int(index) for index in prompt.reshape(-1).tolist()]
    if isinstance(prompt, Sequence) and not isinstance(prompt, str):
        return [int(index) for index in prompt]
    return None


def close_all() -> None:
    """At the end: generators that the program left in the middle."""
    for recording in list(_open):
        recording.close()
