"""What `list` says of a store, without opening thousands of files each time.

Heads and sizes of captures are remembered by directory.

`heads.json` is a cache: a directory is read again when its manifest is another file than the one remembered.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from forensics import files
from forensics.errors import DamagedEvidence
from forensics.records import Row
from forensics.store.manifest import read_manifest, run_of
from forensics.store.store import Store

_CACHE = "heads.json"
_KEEP = 20
"""New directories from which on the cache is written again."""


class Head(NamedTuple):
    """One sealed directory: `entry` is captures/NAME or runs/NAME.

    `problem` says why its manifest cannot be read.
    """

    entry: str
    head: Row
    nbytes: int
    problem: str | None = None

    @property
    def run(self) -> str:
        return run_of(self.entry.partition("/")[2])


def stamps(store: Store) -> dict[str, str]:
    """Every sealed directory to what identifies its manifest."""
    return {
        f"{kind}/{name}": stamp
        for kind in ("captures", "runs")
        for name, stamp in _stamped(store.root / kind)
    }


def heads(store: Store) -> list[Head]:
    """The heads of all captures and runs, in no order."""
    now, known = stamps(store), _remembered(store)
    listed, new = [], 0
    lines: dict[str, Any] = {}
    for entry, stamp in now.items():
        row = known.get(entry)
        if row is None or row[0] != stamp:
            row, new = [stamp, *_read(store.root / entry)], new + 1
        lines[entry] = row
        listed.append(Head(entry, row[1], row[2], row[3]))
    if new >= _KEEP or len(known) > len(now) + _KEEP:
        with contextlib.suppress(OSError):  # a store that may only be read
            files.write_whole(store.root / _CACHE, json.dumps(lines, separators=(",", ":")).encode())
    return listed


def _read(path: Path) -> tuple[Row, int, str | None]:
    try:
        manifest = read_manifest(path)
    except DamagedEvidence as error:
        return {}, 0, error.message
    size = sum(f.size for f in manifest.files.values()) + (path / "manifest.json").stat().st_size
    return manifest.head, size, None


def _stamped(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if "~" in entry.name:
                    continue
                try:
                    s = os.stat(f"{entry.path}/manifest.json")  # noqa: PTH116 - thousands of them
                    yield entry.name, f"{s.st_mtime_ns}.{s.st_size}.{s.st_ino}"
                except NotADirectoryError:
                    continue
                except OSError:
                    yield entry.name, "none"
    except FileNotFoundError:
        return


def _remembered(store: Store) -> Mapping[str, list[Any]]:
    try:
        value = json.loads((store.root / _CACHE).read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {k: v for k, v in value.items() if isinstance(v, list) and len(v) == 4 and isinstance(v[1], dict)}
