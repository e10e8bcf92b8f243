"""Digests and statistics of model files, measured once.

They are remembered by path, size, modification time and inode.

They lie in the user's cache directory, one small file a model file. Losing it costs a second reading, nothing
else.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forensics.errors import UnreadableModel
from forensics.files import cache_directory, remember
from forensics.model.checkpoint import Stored
from forensics.model.remote import is_url
from forensics.records import STATISTICS, Row, TensorStats
from forensics.tensors.workers import Workers, kernels_for
from forensics.typed import nonfinite

_VERSION = 1
_MOST = 400  # files of the cache; the oldest go
_FRESH = 2.0  # seconds: a file that young may change again within one tick of its clock


@dataclass(frozen=True, slots=True)
class Measured:
    """One tensor of a file: its digest and statistics, and its digest as a value where that is another."""

    stats: TensorStats
    value_digest: str | None


def measured(stored: Sequence[Stored], workers: Workers | None = None) -> dict[str, Measured]:
    """Each tensor measured, by its name; by threads where no `workers` are given.

    Raises:
        UnreadableModel: a file ended, or changed, while it was read.
        ClusterError: as `Workers.map`.
    """
    entries = {path: _Entry(path) for path in dict.fromkeys(s.file for s in stored)}
    known = {path: entry.read() for path, entry in entries.items()}
    left = [s for s in stored if (key := _key(s)) not in known[s.file] or not _fits(s, known[s.file][key])]
    open_ = Counter(s.file for s in left)
    kernels_for(sum(s.raw.nbytes for s in left))
    done = (workers or Workers()).map(_measure, left, lambda s: s.raw.nbytes, far=any(map(is_url, entries)))
    for s, m in zip(left, done, strict=True):
        known[s.file][_key(s)] = m
        open_[s.file] -= 1
        if not open_[s.file]:
            entries[s.file].write(known[s.file])
    return {s.raw.name: known[s.file][_key(s)] for s in stored}


def recalled(stored: Sequence[Stored]) -> bool:
    """Whether every one of these tensors was measured before."""
    known = {path: _Entry(path).read() for path in {s.file for s in stored}}
    return all((key := _key(s)) in known[s.file] and _fits(s, known[s.file][key]) for s in stored)


def _measure(s: Stored) -> Measured:
    # NumPy, which what is remembered has no need of
    from forensics.tensors.layout import identity, statistics

    stats = statistics(s.raw)
    return Measured(stats, identity(s.raw, s.layout, stats.digest))


def _key(s: Stored) -> str:
    return f"{s.layout}\0{s.raw.name}"


def _fits(s: Stored, m: Measured) -> bool:
    return (m.stats.dtype, m.stats.shape, m.stats.nbytes) == (s.raw.dtype, s.raw.shape, s.raw.nbytes)


class _Entry:
    """What is remembered of one file."""

    def __init__(self, path: Path) -> None:
        self._file, state = path, path.stat()
        self._age = time.time() - state.st_mtime
        self._is = _identity(path, state)
        self._path = (
            cache_directory() / "files" / f"{hashlib.sha256(repr(self._is).encode()).hexdigest()[:40]}.json"
        )

    def read(self) -> dict[str, Measured]:
        """Empty where nothing is remembered, or what is there cannot be used."""
        try:
            document = json.loads(self._path.read_bytes())
            return dict(_tensors(document["tensors"])) if document["file"] == self._is else {}
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    def write(self, known: Mapping[str, Measured]) -> None:
        """Remember; a cache that cannot be written is no error.

        Raises:
            UnreadableModel: the file is not what it was.
        """
        if _identity(self._file, self._file.stat()) != self._is:
            raise UnreadableModel(
                "The file changed while it was read.",
                where=str(self._file),
                hint="Nothing may write to it; try again.",
            )
        if self._age < _FRESH:
            return
        document = {"file": self._is, "tensors": {key: _row(m) for key, m in known.items()}}
        remember(self._path, json.dumps(document).encode(), _MOST)


def _identity(path: Path, state: os.stat_result) -> list[object]:
    return [_VERSION, str(path.absolute()), state.st_size, state.st_mtime_ns, state.st_ino]


def _row(m: Measured) -> Mapping[str, object]:
    s = m.stats
    numbers = [getattr(s, name) for name in STATISTICS]
    cells = [nonfinite(x) if isinstance(x, float) and x - x != 0 else x for x in numbers]
    return {
        "digest": s.digest,
        "value": m.value_digest,
        "dtype": s.dtype,
        "shape": s.shape,
        "nbytes": s.nbytes,
        "size": s.size,
        "is": cells,
    }


def _tensors(rows: Mapping[str, Row]) -> Iterator[tuple[str, Measured]]:
    for key, row in rows.items():
        numbers = [float(x) if isinstance(x, str) else x for x in row["is"]]  # type: ignore[union-attr]
        statistics = dict(zip(STATISTICS, numbers, strict=True))
        stats = TensorStats(
            digest=str(row["digest"]),
            dtype=str(row["dtype"]),
            shape=tuple(row["shape"]),  # type: ignore[arg-type]
            size=int(row["size"]),  # type: ignore[arg-type]
            nbytes=int(row["nbytes"]),  # type: ignore[arg-type]
            **statistics,  # type: ignore[arg-type]
        )
        yield key, Measured(stats, str(row["value"]) if row["value"] else None)
