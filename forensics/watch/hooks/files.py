"""Files that the program opens: data sets, and configurations that declare an adapter.

Only names are taken when it happens.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

from .. import changes, permanent
from ..moments import Moments
from ..originals import json, os, time
from ..places import is_users, where
from ..run import watch
from ..training import records
from . import adapterspec, save

_DATA = (".jsonl", ".csv", ".txt", ".parquet", ".json")
_CONFIG = (".json", ".yaml", ".yml")
_NO_DATA = (
    "config",
    "tokenizer",
    "special_tokens",
    "vocab",
    "merges",
    "index",
    "requirements",
    "preprocessor",
    "added_tokens",
)

_opened: dict[str, tuple[bool, bool, str | None, int]] = {}  # path -> (written, read, place, process)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """The interpreter calls this at each file that is opened or renamed.

    So it asks for as little as it can, and never raises.
    """
    if not watch.on or watch.local.quiet:
        return
    try:
        if event == "os.rename":
            _renaming(arguments[0], arguments[1])
            return
        path, mode = arguments[0], arguments[1]
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if isinstance(path, str) and path.endswith(_DATA + _CONFIG) and (where() or "mlx_lm" in sys.modules):
            written = isinstance(mode, str) and any(letter in mode for letter in "wax+")
            full = os.path.abspath(path)
            before = _opened.get(full, (False, False, None, 0))
            if len(_opened) < 500 and not before[not written] and is_users(full):
                _opened[full] = (written or before[0], not written or before[1], where(), os.getpid())
    except Exception:  # noqa: BLE001, S110
        pass


def _renaming(before: Any, after: Any) -> None:
    """What was saved under a temporary name is looked for under the one that it gets."""
    if save.paths:
        before, after = (os.path.abspath(os.fsdecode(item)) for item in (before, after))
        named = [path for path in save.paths if path == before or path.startswith(before + os.sep)]
        if named:
            save.paths.update(after + path[len(before) :] for path in named)
            watch.row("moves", before=before, after=after, time=time.time())


def _report() -> None:
    """At the end: what the files hold."""
    for name, (written, read, place, process) in list(_opened.items()):
        path = Path(name)
        if process != os.getpid() or watch.spool in path.parents:
            continue
        if path.suffix in _CONFIG:
            adapterspec.file(path, written)
        if read and path.suffix in _DATA and _is_data(path):
            watch.row(
                "datasets",
                source="file",
                path=name,
                file=path.name,
                records=_records(path),
                purpose=_purpose(path),
                place=place,
                **_used(path),
            )


def _used(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return records.used(path)
    return {}


def _is_data(path: Path) -> bool:
    return not any(part in path.name.lower() for part in _NO_DATA)


def _purpose(path: Path) -> str:
    stem = path.stem.lower()
    for word, purpose in (
        ("train", "train"),
        ("valid", "valid"),
        ("val", "valid"),
        ("eval", "valid"),
        ("dev", "valid"),
        ("test", "test"),
    ):
        if word in stem:
            return purpose
    return "unknown"


def _records(path: Path) -> int | None:
    """Lines that are not empty; items of a JSON list; None where it cannot be told."""
    with contextlib.suppress(OSError, ValueError):
        if path.suffix == ".parquet" or path.stat().st_size > 1 << 30:
            return None
        if path.suffix == ".json":
            content = json.loads(path.read_text(encoding="utf-8"))
            return len(content) if isinstance(content, list) else None
        with path.open("rb") as file:
            lines = sum(1 for line in file if line.strip())
        return max(lines - 1, 0) if path.suffix == ".csv" else lines
    return None


def _at_first_update() -> None:
    """A killed program has no end: what its configuration files declare is looked at early, too."""
    for name, (written, *_) in list(_opened.items()):
        if name.endswith(_CONFIG):
            adapterspec.file(Path(name), written)


def install(run: Moments) -> None:
    permanent.auditing.append(_audit)
    changes.at_end(permanent.auditing.clear)
    run.on_first_update(_at_first_update)
    run.on_first_update(adapterspec.look)
    run.on_exit(_report)
