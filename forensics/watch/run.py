"""The watcher's centre: where evidence goes, and what must never happen.

Everything under `watch` runs inside the user's process. It imports the standard library, mlx and what the
program itself loaded, nothing of forensics outside this folder, and it never raises: an observation that
fails is noted as missing.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from . import cells, protocol
from .lock import Lock
from .models import Model
from .originals import json, os, threading, time
from .places import on_cell, where
from .rowfile import RowFile, refuse_beyond_the_limit

if TYPE_CHECKING:
    from .writer import Writer
else:
    Writer = object

_RESERVED = 32_768  # bytes of the file that is given up where the disk is full
_P = ParamSpec("_P")
_R = TypeVar("_R")


class _Local(threading.local):
    tracing = 0  # inside mx.compile's trace or vmap: nothing may be evaluated
    gradient = 0  # inside the forward of a gradient
    quiet = 0  # inside our own work: hooks see nothing
    library = 0  # inside a library function that an outer hook already describes
    mapped: tuple[Any, dict[str, Any]] | None = None  # a module under `apply`, and its arrays before it


class Watch(Writer):
    """The watch of one process.

    Rows go to `<spool>/p<K>/<table>.jsonl`, each line unbuffered, so that a kill -9 loses nothing before it.
    """

    def __init__(self) -> None:
        self.on = False
        self.spent = 0.0  # seconds of processor of our own work
        self.options: protocol.Options = {}
        self.spool = Path()
        self.directory = Path()
        self.process = 0
        self.local = _Local()
        self.lock = Lock()
        self.models: list[Model] = []
        self.cells: set[str] = set()  # cells of a notebook whose code was noted
        self._files: dict[str, RowFile] = {}
        self._failed: set[str] = set()
        self._pid = 0

    # -- beginning -------------------------------------------------------------------------------------------

    def begin(self, spool: Path, options: protocol.Options) -> None:
        """Claim `p<K>` under `spool`, the first number that is free."""
        self.spool, self.options, self._pid = spool, options, os.getpid()
        self.process, self.directory = self._claim(spool, "p")
        with contextlib.suppress(OSError):
            refuse_beyond_the_limit(_RESERVED)
            (self.directory / protocol.RESERVE).write_bytes(b"\0" * _RESERVED)
        self.on = True

    @staticmethod
    def _claim(parent: Path, prefix: str) -> tuple[int, Path]:
        number = 0
        while True:
            place = parent / f"{prefix}{number}"
            try:
                place.mkdir(parents=True)
                return number, place
            except FileExistsError:
                number += 1

    # -- rows ------------------------------------------------------------------------------------------------

    if not TYPE_CHECKING:  # what each table and each event takes is typed in writer.py

        def row(self, table: str, /, **values: Any) -> None:
            """Append one row to a table of this process."""
            self._append(table, values)

        def part(self, capture: str, table: str, /, **values: Any) -> None:
            """Append one row to a table of a capture, which is named by its directory."""
            self._append(f"{capture}/{table}", values)

        def event(self, kind: str, model: Any = None, place: str | None = None, /, **detail: Any) -> None:
            """Append to events; `place` defaults to the innermost line of the user's program."""
            number = model.number if model else None
            self.row(
                "events", time=time.time(), kind=kind, model=number, detail=detail, place=place or where()
            )

    def _append(self, table: str, values: dict[str, Any]) -> None:
        if (
            not self.on or os.getpid() != self._pid
        ):  # a forked child writes nothing into its parent's evidence
            return
        line = json.dumps(values, default=_plain, ensure_ascii=False, separators=(",", ":")) + "\n"
        with self.lock:
            file = self._files.get(table)
            if file is None:
                path = self.directory / f"{table}.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                file = self._files[table] = RowFile(path)
            try:
                # what is no UTF-8 (a file name, say) is escaped as JSON does it, and comes back as it was
                file.write(line.encode("utf-8", "backslashreplace"))
            except OSError as error:
                self._full(table, error)
                raise

    def _full(self, table: str, error: OSError) -> None:
        """The disk is full: give back what was set aside for this moment, so that it can be said."""
        with contextlib.suppress(OSError):
            (self.directory / protocol.RESERVE).unlink(missing_ok=True)
        name = table.rpartition("/")[2]
        what = f"rows of {name}"
        with contextlib.suppress(Exception):
            if what not in self._failed:
                self._failed.add(what)
                self.row(
                    "missing",
                    what=what,
                    why=f"{type(error).__name__}: {error}"[:500],
                    time=time.time(),
                    kind="rows",
                    table=name,
                )

    def close(self, prefix: str = "") -> None:
        """Close the files whose table begins with `prefix`."""
        with self.lock:
            for table in [t for t in self._files if t.startswith(prefix)]:
                self._files.pop(table).close()

    def cell(self, cell: str, file: str) -> None:
        """Note the code of a cell of a notebook, once."""
        if cell not in self.cells:
            self.cells.add(cell)
            with contextlib.suppress(Exception):
                self.row("cells", cell=cell, text=cells.text(file))

    def missing(self, what: str, why: BaseException | str, kind: str = "watcher") -> None:
        """Note evidence that could not be taken: once a `what`; the program goes on.

        `kind`: loss where it is of the loss at its tokens.
        """
        with contextlib.suppress(Exception):
            if what not in self._failed:
                self._failed.add(what)
                text = why if isinstance(why, str) else f"{type(why).__name__}: {why}"
                self.row("missing", what=what, why=text[:500], kind=kind, time=time.time())

    # -- state -----------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The process that began the watch; a fork of it is another."""
        return self._pid

    @property
    def tracing(self) -> bool:
        return self.local.tracing > 0

    @property
    def observing(self) -> bool:
        """Is a hook to look at this call? Not inside a trace, a gradient, or our own work."""
        return self.on and not (self.local.tracing or self.local.gradient or self.local.quiet)

    @contextlib.contextmanager
    def within(self, what: str) -> Iterator[None]:
        """Raise one of the depths (tracing, gradient, quiet, library) for a while."""
        local = self.local
        setattr(local, what, getattr(local, what) + 1)
        try:
            yield
        finally:
            setattr(local, what, getattr(local, what) - 1)

    @contextlib.contextmanager
    def looking(self, what: str, kind: str = "watcher") -> Iterator[None]:
        """Our own work: hooks are quiet, and what fails is noted as missing and swallowed.

        KeyboardInterrupt and SystemExit pass, so that Ctrl-C still ends the user's program.
        """
        began = 0.0 if self.local.quiet else time.process_time()
        with self.within("quiet"):
            try:
                yield
            except Exception as error:  # noqa: BLE001
                self.missing(what, error, kind)
            finally:
                if began:
                    self.spent += time.process_time() - began

    # -- models ----------------------------------------------------------------------------------------------

    def record_of(self, module: Any) -> Model | None:
        """The record of a module that was seen before."""
        for model in self.models:
            if model.module is module:
                return model
        return None

    def model(self, module: Any) -> Model:
        """The record of a module, numbered m0, m1, ... over all processes of the run."""
        model = self.record_of(module)
        if model is None:
            with self.lock:
                number, _ = self._claim(self.spool / protocol.MODELS, "m")
                model = Model(f"m{number}", module)
                self.models.append(model)
        return model


def _plain(value: Any) -> Any:
    """What json cannot write itself: paths, sets, numpy and mlx scalars, and at last the type's name."""
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and getattr(value, "size", 0) == 1:
        return value.item()
    return f"<{type(value).__name__}>"


watch = Watch()
on_cell(watch.cell)


def safely(function: Callable[_P, _R]) -> Callable[_P, _R | None]:
    """One thread at a time, hooks quiet, and what fails is noted as missing: the caller gets None."""

    @functools.wraps(function)
    def safe(*args: _P.args, **kwargs: _P.kwargs) -> _R | None:
        if watch.on:
            with watch.looking(function.__name__.replace("_", " ")), watch.lock:
                return function(*args, **kwargs)
        return None

    return safe
