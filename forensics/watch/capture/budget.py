"""Which bytes are written.

That depends on the user's `--tensors`, on what the store has already or lies in the files that were loaded,
and on free space.

With `trainable` and `none` more is written than is kept: the parent measures what moved while both states
exist, then drops it.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import weakref
from pathlib import Path
from typing import Any

from .. import protocol
from ..originals import json, os
from ..run import watch
from ..trees import mx

_LESS = {"all": "new", "new": "nothing", "trainable": "nothing", "none": "nothing"}

written: set[str] = set()  # digests whose bytes this process wrote
_mode: str | None = None
_plan: protocol.Plan | None = None  # what the parent was told
_probed = 0.0  # seconds
_loaded: dict[int, tuple[Any, list[Any]]] = {}  # id of an array -> (weak reference, the file it came from)
_files: dict[str, list[Any]] = {}  # digest -> file


class Room:
    """Memory for what a look would compute first: the program may never compute it, or not all at once."""

    SHARE = 0.8
    """Of the memory that is free; what is left is for what the computation itself takes."""

    refused = "the program has not computed it yet, and for a look alone it takes too much memory"

    def __init__(self) -> None:
        self._left: float | None = None

    def takes(self, nbytes: int) -> bool:
        """Is there room for so many bytes beside those that were taken before?"""
        if self._left is None:
            self._left = self.SHARE * _free_memory()
        if nbytes > self._left:
            return False
        self._left -= nbytes
        return True


def _free_memory() -> float:
    """Bytes; where the system does not say, what the machine has without what mlx holds of it."""
    with contextlib.suppress(OSError, ValueError, StopIteration), open("/proc/meminfo") as file:
        return 1024.0 * int(next(line for line in file if line.startswith("MemAvailable:")).split()[1])
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") - mx().get_active_memory())
    return float("inf")


def mode() -> str:
    """`all`, `new`, `trainable`, `none`, or `nothing` on a full disk, as in force now."""
    return _mode or str(watch.options.get("tensors") or "all")


@functools.cache
def stored_digests() -> frozenset[str]:
    """Digests that the store has already."""
    path = watch.options.get("known")
    with contextlib.suppress(OSError):
        if path:
            return frozenset(Path(path).read_text(encoding="ascii").split())
    return frozenset()


def first(arrays: dict[str, Any], frozen: set[str]) -> None:
    """Tell the parent what lies ahead, once, when the first model is seen."""
    with watch.lock:  # several threads may see their first model at once
        if _mode is None:
            nbytes = sum(array.nbytes for array in arrays.values())
            trainable = sum(array.nbytes for name, array in arrays.items() if name not in frozen)
            _settle(mode(), nbytes, trainable, 0 if mode() == "none" else nbytes)


def came_from(path: str, arrays: dict[str, Any]) -> None:
    """These array objects were just loaded from a safetensors file, under these names."""
    state = os.stat(path)
    place = [os.path.abspath(path), state.st_size, state.st_mtime_ns, state.st_ino]
    for name, array in arrays.items():
        _loaded[id(array)] = (weakref.ref(array), [*place, name])


def file_of(array: Any, digest: str) -> list[Any] | None:
    """[path, size, mtime_ns, inode, name] of the file that the run loaded these bytes from, if it did."""
    entry = _loaded.get(id(array))
    if entry is not None and entry[0]() is array:
        _files.setdefault(digest, entry[1])
    return _files.get(digest)


def choose(rows: dict[str, dict[str, Any]]) -> set[str]:
    """Of the digests of one capture, those to write now.

    Falls back to fewer where the disk has not twice the need.
    """
    while True:
        chosen = {
            digest
            for digest, row in rows.items()
            if digest not in written and digest not in stored_digests() and _wanted(row)
        }
        need = sum(rows[digest]["nbytes"] for digest in chosen)
        if not need or shutil.disk_usage(watch.directory).free >= 2 * need:
            return chosen
        _settle(_LESS[mode()], need, need, need)


def counted() -> bool:
    """Is this a repeat, of which no tensor is kept and only what is not finite is counted?"""
    return bool(watch.options.get("tensors") == "nothing")


def _wanted(row: dict[str, Any]) -> bool:
    return mode() == "all" or (mode() != "nothing" and row.get("file") is None)


def _settle(kind: str, nbytes: int, trainable: int, need: int) -> None:
    global _mode
    free = shutil.disk_usage(watch.directory).free
    while need and free < 2 * need and kind == "all":
        kind, need = _LESS[kind], 0
    wanted = str(watch.options.get("tensors") or "all")
    if kind != wanted:
        less = "none" if kind == "nothing" else kind
        watch.missing(
            f"tensors kept as {less}", f"{free:,} bytes are free where {need or nbytes:,} would be written"
        )
    _mode = kind
    kind = "none" if kind == "nothing" else kind
    _tell(
        {
            "nbytes": nbytes,
            "trainable_nbytes": trainable,
            "free": free,
            "tensors": kind,
            "degraded_from": wanted if kind != wanted else None,
            "seconds": _plan["seconds"] if _plan else None,
            "leaves": _plan["leaves"] if _plan else None,
        }
    )


def took(seconds: float, leaves: int) -> None:
    """Note how long the first capture took with its probes, and how many tensors are trainable.

    The whole cost is estimated from these.
    """
    if _plan is not None and _plan["seconds"] is None:
        _tell({**_plan, "seconds": seconds, "leaves": leaves})


def probes_took(seconds: float) -> None:
    """Note how long one set of probes took: what else is asked of a model may take no longer."""
    global _probed
    _probed = max(_probed, seconds)


def probe_seconds() -> float:
    """Seconds that the longest set of probes took so far; 0 where none was asked."""
    return _probed


def _tell(plan: protocol.Plan) -> None:
    global _plan
    path = watch.directory / protocol.PLAN
    temporary = path.with_suffix(".part")
    with watch.lock:
        _plan = plan
        temporary.write_text(json.dumps(plan), encoding="utf-8")
        temporary.replace(path)
