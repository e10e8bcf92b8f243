"""Capture in the Python that runs: a script, an IDE's Run button, a notebook.

    with forensics.capture("night"):
        train(model)

    watching = forensics.capture("night")      # the same, from here on
    watching.stop()                            # every hook is gone; what was recorded is a run of the store
    watching.diagnosis

It may begin when models are loaded and functions imported: what is in memory is looked at then, and what can
no longer be seen is said (docs/python.md). A helper process names and seals the run, so nothing of it is
loaded here.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from forensics.errors import UsageError
from forensics.watch import cells
from forensics.watch.unattended import SPOOL, RefusedError, Watching, ask

if TYPE_CHECKING:
    from forensics.api import Case, Diagnosed, DiagnosedTwo

_current: list[Recording] = []


class Recording:
    """A capture of this process, which begins when it is made.

    It ends with `stop()`, with its `with` block, or with the process. `name` is that of the run; None where
    nothing can be recorded, which a line on stderr has said.
    """

    def __init__(self, watching: Watching | None, name: str | None, store: str | None, quiet: bool) -> None:
        self.name = name
        self._watching, self._store, self._quiet = watching, store, quiet
        if watching is not None:
            atexit.register(self._at_exit)
            _current.append(self)

    def stop(self) -> Recording:
        """Take every hook out and seal the run; a second call does nothing.

        Raises:
            UsageError: the run could not be sealed; what was recorded is kept, and the next `forensics` tries
            again.
        """
        self._end(None)
        return self

    @property
    def running(self) -> bool:
        """Is the process being watched by this capture?"""
        return self._watching is not None

    @property
    def case(self) -> Case:
        """The run, opened: what `forensics.open` gives.

        Raises as it does, and UsageError while the capture runs.
        """
        from forensics import api  # import time: a training program need not judge

        if self.name is None:
            raise UsageError("Nothing was recorded.", where="forensics.capture", hint="See what stderr said.")
        if self.running:
            raise UsageError(
                f"The capture {self.name} is still running.",
                where="forensics.capture",
                hint="Call .stop() first.",
            )
        return api.open(self.name, store=self._store)

    @property
    def diagnosis(self) -> Diagnosed | DiagnosedTwo:
        """What went wrong, with its evidence. Raises as `case`."""
        return self.case.diagnosis

    def _end(self, error: BaseException | None) -> None:
        watching, self._watching = self._watching, None
        if watching is None or os.getpid() != watching.pid:
            return
        _current.remove(self)
        atexit.unregister(self._at_exit)
        watching.end(error)
        try:
            answer = watching.seal(_status(error))
        except RefusedError as refused:
            raise _usage(
                refused, f"What was recorded lies in {watching.spool}; the next `forensics` seals it."
            ) from None
        self.name = answer["run"]
        for line in answer["lines"]:
            self._say(line)

    def _at_exit(self) -> None:
        """The process ends, and nobody stopped the capture."""
        self._end(getattr(sys, "last_value", None) if cells.shell() is None else None)

    def _say(self, line: str) -> None:
        if not self._quiet and sys.stderr is not None:
            sys.stderr.write(f"{line}\n")

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end(error)
        except UsageError as failed:
            if error is None:
                raise
            self._say(f"forensics: {failed.message}")  # the program's own exception is the one to see

    def __repr__(self) -> str:
        return f"<capture {self.name}, {'running' if self.running else 'ended'}>"


def capture(
    name: str | None = None,
    *,
    prompts: str | PathLike[str] | Sequence[str] | None = None,
    every: int | None = None,
    max_tokens: int = 48,
    tensors: str = "all",
    scorers: Sequence[str] = (),
    expect: str | None = None,
    reload: bool = True,
    selftest: str = "quick",
    store: str | PathLike[str] | None = None,
    quiet: bool = False,
) -> Recording:
    """Watch this process from now on; the options are those of `forensics capture`.

    Args:
        name: of the run; default: the script's, or `notebook`. A name that is taken becomes NAME-2.
        prompts: a file as `--prompts` takes it, or user messages.
        every: a capture after each so many updates as well. max_tokens: the longest answer of a probe.
        tensors: all, new, trainable or none. scorers: "module:function". expect: lora, dora, full or none.
        selftest: quick, full or off. reload: load what was saved in a fresh process. store: where captures
        live. quiet: say nothing on
        stderr.

    Raises:
        UsageError: not a name, an option that is none, prompts that cannot be read, or a capture is running
        already.
    """
    if _current:
        raise UsageError(
            f"The capture {_current[0].name} is running in this process.",
            "forensics.capture",
            "Call its .stop() first.",
        )
    if (outer := os.environ.get(SPOOL)) is not None:
        sys.stderr.write(f"forensics: this process is watched already, as {Path(outer).name}.\n")
        return Recording(None, Path(outer).name, None, quiet)
    _check(
        every=every, max_tokens=max_tokens, tensors=tensors, expect=expect, selftest=selftest, scorers=scorers
    )
    place = None if store is None else str(Path(store).resolve())
    listed = None if prompts is None else list(prompts) if _are_texts(prompts) else fspath(prompts)  # type: ignore[arg-type]
    request: dict[str, Any] = {
        "name": name or _default_name(), "command": _command(), "parent": os.getpid(), "cwd": str(Path.cwd()),
        "store": place, "prompts": listed, "every": every, "max_tokens": max_tokens, "tensors": tensors,
        "scorers": list(scorers), "expect": expect, "reload": reload, "selftest": selftest,
    }  # fmt: skip
    try:
        answer = ask("begin", request)
    except RefusedError as refused:
        raise _usage(refused, "") from None
    watching = Watching(Path(answer["spool"])) if answer["spool"] else None
    recording = Recording(watching, answer["run"], place, quiet)
    for line in answer["lines"]:
        recording._say(line)
    if watching is not None:
        watching.begin()
    return recording


def _check(**options: Any) -> None:
    """Options that the command line would refuse."""
    choices = {
        "tensors": ("all", "new", "trainable", "none"),
        "expect": (None, "lora", "dora", "full", "none"),
        "selftest": ("quick", "full", "off"),
    }
    for option, among in choices.items():
        if options[option] not in among:
            words = ", ".join(str(item) for item in among)
            raise UsageError(
                f"{option}={options[option]!r} is none of {words}.", "forensics.capture", f"{option}='lora'"
            )
    for option, least in (("every", 1), ("max_tokens", 1)):
        value = options[option]
        if value is not None and (type(value) is not int or value < least):
            raise UsageError(f"{option}={value!r} is no count.", "forensics.capture", f"{option}=10, say.")
    if isinstance(options["scorers"], str) or not all(
        isinstance(scorer, str) and scorer.count(":") == 1 for scorer in options["scorers"]
    ):
        raise UsageError(
            "scorers are names, module:function.", "forensics.capture", 'scorers=["judge:brief"]'
        )


def _are_texts(prompts: object) -> bool:
    return isinstance(prompts, Sequence) and not isinstance(prompts, str)


def _command() -> list[str]:
    """The words that started this process; none for a kernel, which nobody can start again from them."""
    return [] if cells.shell() is not None else list(sys.orig_argv)


def _default_name() -> str:
    script = sys.argv[0] if sys.argv else ""
    return "notebook" if cells.shell() is not None or not script.endswith(".py") else Path(script).stem


def _status(error: BaseException | None) -> int:
    """What the process would have exited with, had the exception ended it."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    return 0 if error is None else 130 if isinstance(error, KeyboardInterrupt) else 1


def _usage(refused: RefusedError, hint: str) -> UsageError:
    answer = refused.answer
    return UsageError(answer.get("message", ""), answer.get("where", ""), answer.get("hint") or hint)
