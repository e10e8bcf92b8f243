"""The watcher's centre: where evidence goes, how a function is wrapped, and what must never happen.

Everything under `watch` runs inside the user's process. It imports the standard library, mlx and what the program itself
loaded, nothing of forensics outside this folder, and it never raises: an observation that fails is noted as missing.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from . import cells, changes
from .rowfile import RowFile

HERE = str(Path(__file__).parent)
_LIBRARIES = (
    HERE,
    *(str(Path(HERE).parent / name) for name in ("live.py", "notebook.py", "testing.py")),
    f"{os.sep}site-packages{os.sep}",
    f"{os.sep}dist-packages{os.sep}",
    f"{os.sep}lib{os.sep}python3",
    "<frozen",
)


_RESERVE, _RESERVED = "reserve", 32_768  # a file that is given up where the disk is full, and its bytes


class _Local(threading.local):
    tracing = 0  # inside mx.compile's trace or vmap: nothing may be evaluated
    gradient = 0  # inside the forward of a gradient
    quiet = 0  # inside our own work: hooks see nothing
    library = 0  # inside a library function that an outer hook already describes


class Lock:
    """The one lock over the watcher's state. It is never held while code of the program or of mlx runs: `released` lets go of it.

    A model's forward may take a lock of the program's own, and an evaluation waits for other threads: whoever waits for us
    meanwhile would wait for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @contextlib.contextmanager
    def released(self) -> Iterator[None]:
        """Let go of the lock for a while, however often this thread holds it."""
        lock: Any = self._lock
        held = lock._release_save() if lock._is_owned() else None
        try:
            yield
        finally:
            if held is not None:
                lock._acquire_restore(held)


def is_mine(thread: int | None) -> bool:
    """May this thread evaluate what that one made? Its own, and what a thread that has ended left."""
    if thread is None or thread == threading.get_ident():
        return True
    return all(thread != each.ident for each in threading.enumerate())


class Model:
    """A live model object: a number, a strong reference where it must stay, and what was counted of it."""

    def __init__(self, number: str, module: Any) -> None:
        self.number = number
        self._module = weakref.ref(module)
        self.class_name = type(module).__name__
        self.path: str | None = None  # directory it was loaded from
        self.adapter_path: str | None = None
        self.tokenizer: Any = None  # the tokenizer that came with it, or was last used with it
        self.tokenizer_path: str | None = None
        self.config: dict[str, Any] | None = None
        self.updates = 0
        self.writes = 0
        self.gradients = 0
        self.generations = 0
        self.saves = 0
        self.copied_from: str | None = None
        self.last_place: str | None = None

    @property
    def module(self) -> Any:
        """The module, or None where the program dropped it."""
        return self._module()

    def again(self, module: Any) -> None:
        """For the last look at a module that the collector found: weak references to it are gone already."""
        self._module = weakref.ref(module)


class Watch:
    """One a process. Rows go to `<spool>/p<K>/<table>.jsonl`, each line unbuffered, so that a kill -9 loses nothing before it."""

    def __init__(self) -> None:
        self.on = False
        self.options: dict[str, Any] = {}
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

    # -- beginning ---------------------------------------------------------------------------------------------------

    def begin(self, spool: Path, options: dict[str, Any]) -> None:
        """Claim `p<K>` under `spool`, the first number that is free."""
        self.spool, self.options, self._pid = spool, options, os.getpid()
        self.process, self.directory = self._claim(spool, "p")
        with contextlib.suppress(OSError):
            (self.directory / _RESERVE).write_bytes(b"\0" * _RESERVED)
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

    # -- rows --------------------------------------------------------------------------------------------------------

    def row(self, table: str, /, **values: Any) -> None:
        """Append one row; `table` is a path below the process's directory, without its ending."""
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
            (self.directory / _RESERVE).unlink(missing_ok=True)
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

    def event(
        self, kind: str, model: Model | None = None, place: str | None = None, /, **detail: Any
    ) -> None:
        """Append to events; `place` defaults to the innermost line of the user's program."""
        self.row(
            "events",
            time=time.time(),
            kind=kind,
            model=model.number if model else None,
            detail=detail,
            place=place or where(),
        )

    def missing(self, what: str, why: BaseException | str, kind: str = "watcher") -> None:
        """Note evidence that could not be taken: once a `what`; the program goes on. `kind`: loss where it is of the loss at its tokens."""
        with contextlib.suppress(Exception):
            if what not in self._failed:
                self._failed.add(what)
                text = why if isinstance(why, str) else f"{type(why).__name__}: {why}"
                self.row("missing", what=what, why=text[:500], kind=kind, time=time.time())

    # -- state -------------------------------------------------------------------------------------------------------

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
        with self.within("quiet"):
            try:
                yield
            except Exception as error:  # noqa: BLE001
                self.missing(what, error, kind)

    # -- models ------------------------------------------------------------------------------------------------------

    def known(self, module: Any) -> Model | None:
        """The record of a module that was seen before."""
        for model in self.models:
            if model.module is module:
                return model
        return None

    def model(self, module: Any) -> Model:
        """The record of a module, numbered m0, m1, ... over all processes of the run."""
        found = self.known(module)
        if found is None:
            with self.lock:
                number, _ = self._claim(self.spool / "models", "m")
                found = Model(f"m{number}", module)
                self.models.append(found)
        return found


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


def weakly(item: Any) -> Callable[[], Any]:
    """A weak reference; a strong one for the few kinds of object that allow none."""
    try:
        return weakref.ref(item)
    except TypeError:
        return lambda: item


def is_users(file: str) -> bool:
    """Is this file the user's own: of no library, of no interpreter, and none of ours?"""
    if file.startswith("<"):
        return cells.is_cell(file)
    return not any(part in file for part in _LIBRARIES)


def _place(file: str, line: int) -> str:
    """file:line; a cell of a notebook is named as the notebook does, and its code noted, which lies in no file."""
    if cells.is_cell(file) and (cell := cells.name(file)) is not None:
        if cell not in watch.cells:
            watch.cells.add(cell)
            with contextlib.suppress(Exception):
                watch.row("cells", cell=cell, text=cells.text(file))
        return f"{cell}:{line}"
    return f"{file}:{line}"


def where() -> str | None:
    """file:line of the innermost frame that belongs to the user's program, not to a library or to us."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if is_users(name):
            return _place(name, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return None


def raised_at(trace: TracebackType | None) -> str | None:
    """file:line of the innermost frame of a traceback that belongs to the user's program."""
    place = None
    while trace is not None:
        if is_users(trace.tb_frame.f_code.co_filename):
            place = _place(trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return place


def wrap(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace `owner.name` by `make(original)`, and every copy that another module imported before.

    The wrapper must pass *args and **kwargs through as they came, and put every observation into `watch.looking`.
    Several hooks may wrap one function, each once; the later stands outside.
    """
    original = getattr(owner, name, None)
    makers: tuple[Any, ...] = getattr(original, "__forensics__", ())
    if original is None or make in makers:
        return
    wrapper = make(original)
    with contextlib.suppress(Exception):
        functools.update_wrapper(wrapper, original)
    wrapper.__forensics__ = (*makers, make)  # type: ignore[attr-defined]
    changes.put(owner, name, wrapper)
    if isinstance(owner, type(sys)):
        for module in list(sys.modules.values()):
            space = getattr(module, "__dict__", None)
            if space is not None and space.get(name) is original:
                changes.put(module, name, wrapper)


def bound(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The call's arguments by name, defaults filled in; empty where they do not bind."""
    import inspect

    try:
        call = inspect.signature(function).bind(*args, **kwargs)
        call.apply_defaults()
        return dict(call.arguments)
    except (TypeError, ValueError):
        return {}
