"""Where a run's tensors come from while it is sealed.

The spool's files by digest, files that the run loaded, the store's packs.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from collections.abc import Callable, Container, Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.errors import ForensicsError
from forensics.model.headers import read_header
from forensics.records import STATISTICS, RawTensor, Row, TensorStats
from forensics.store.manifest import run_of
from forensics.store.packs import Packs
from forensics.tensors.workers import spread

if TYPE_CHECKING:
    from concurrent.futures import Executor


def raw_tensors(path: Path) -> Iterator[RawTensor]:
    """The tensors of one safetensors file, read when asked for."""
    if path.is_file() and path.stat().st_size:
        yield from read_header(path).tensors()


class Sources:
    """Digest to bytes and to statistics. What fails its digest is not evidence and is left out."""

    def __init__(self, packs: Packs, wanted: Callable[[str], bool] | None, earlier: Iterator[Row]) -> None:
        """
        Args:
            wanted: tells the digests whose bytes are to be kept; None: of none.
            earlier: rows of `tensors` of earlier captures, newest first: what was measured once is not
            measured again.
        """
        self._packs, self._wanted, self._earlier = packs, wanted, earlier
        self._recalled: dict[str, Row] = {}
        self._raw: dict[str, RawTensor] = {}
        self._lying: dict[str, dict[str, str]] = {}  # file that the run loaded: tensor name to digest
        self.stats: dict[str, Row] = {}
        self.damaged: list[str] = []
        self.unkept: str | None = None  # why the bytes of some tensors could not be kept

    def take(self, path: Path, executor: Executor) -> None:
        """Measure the tensors of a spool file, whose keys are their digests.

        Make the file a pack where that is wanted.
        """
        from forensics.tensors.measure import measure  # NumPy, which models at rest may have no need of

        try:
            tensors = list(raw_tensors(path))
        except ForensicsError as error:
            self.damaged.append(f"{path.parent.name}/{path.name}: {error.message}")
            return
        good: list[tuple[str, RawTensor]] = []
        measured = spread(executor, measure, tensors, lambda raw: raw.nbytes)
        for raw, stats in zip(tensors, measured, strict=True):
            if stats.digest != raw.name:
                self.damaged.append(raw.name)
                continue
            self._raw[raw.name] = raw
            self.stats[raw.name] = tensor_row(stats, "none")
            if self._wanted and self._wanted(raw.name):
                good.append((raw.name, raw))
        if not good:
            return
        try:
            self._packs.adopt(path, [d for d, _ in good], move=True) if len(good) == len(
                tensors
            ) else self._packs.put(good)
        except OSError as error:
            self._stop(error)
            return
        for digest, _ in good:
            self._raw.pop(digest)
            self.stats[digest] = {**self.stats[digest], "kept": "pack"}

    def keep_file(self, path: Path, digests: Mapping[str, str]) -> bool:
        """Keep a file that the run wrote, tensor name to digest.

        False where that is not wanted, or the disk is full.
        """
        if self._wanted is None:
            return False
        try:
            self._packs.adopt(path, digests)
        except OSError as error:
            self._stop(error)
            return False
        return True

    def hold(self, stats: TensorStats, raw: RawTensor, place: str) -> None:
        """A tensor of a file that the run wrote, measured already."""
        self._raw.setdefault(stats.digest, raw)
        self.stats.setdefault(stats.digest, tensor_row(stats, place))

    def _stop(self, error: OSError) -> None:
        """The disk is full: what follows keeps digests and statistics alone."""
        self._wanted = None
        self.unkept = error.strerror or str(error)

    def know(self, digest: str, placement: Mapping[str, Any]) -> None:
        """Statistics of a digest whose bytes were not written in this run.

        They come from the store, from a file, or as the watcher took them.
        """
        if digest in self.stats:
            return
        stored = self._packs.read(digest)
        raw = stored or _in_file(placement.get("file"), digest)
        if raw is not None and not stored:
            self._raw.setdefault(digest, raw)
            path, *_, name = placement["file"]
            self._lying.setdefault(str(path), {})[str(name)] = digest
        where = "pack" if stored else "file" if raw is not None else "none"
        recalled = self._recall(digest) if stored else None
        if recalled is not None:
            self.stats[digest] = {**recalled, "kept": where}
        elif raw is not None and (stored or not placement.get("stats")):
            self.stats[digest] = self._measured(digest, raw, placement, where)
        else:
            self.stats[digest] = _tensor_row(digest, placement, where)

    def _measured(self, digest: str, raw: RawTensor, placement: Mapping[str, Any], where: str) -> Row:
        from forensics.tensors.measure import measure  # import time: NumPy

        stats = measure(raw)
        if stats.digest == digest:
            return tensor_row(stats, where)
        self._raw.pop(digest, None)  # the file holds other bytes than when it was loaded
        return _tensor_row(digest, placement, "none")

    def _recall(self, digest: str) -> Row | None:
        while digest not in self._recalled:
            row = next(self._earlier, None)
            if row is None:
                return None
            self._recalled.setdefault(str(row["digest"]), row)
        return self._recalled[digest]

    def refer(self) -> None:
        """Let the store know where tensors lie that stay in the files which the run loaded."""
        for path, named in self._lying.items():
            lying = {name: digest for name, digest in named.items() if self.stats[digest]["kept"] == "file"}
            if lying:
                with contextlib.suppress(OSError, ForensicsError):
                    self._packs.refer(Path(path), lying)

    def read(self, digest: str) -> RawTensor | None:
        """The bytes of a digest, or None where they are nowhere any more."""
        return self._packs.read(digest) or self._raw.get(digest)


def earlier(captures: Path, brought: Container[str]) -> Iterator[Row]:
    """Rows of `tensors` of the captures below a directory, newest first.

    Runs that were `brought` in bundles are passed over.
    """
    stored = (
        p for p in captures.glob("*/tables/tensors.jsonl.gz") if run_of(p.parents[1].name) not in brought
    )
    for path in sorted(stored, key=lambda p: p.stat().st_mtime, reverse=True)[:_EARLIER]:
        with (
            contextlib.suppress(OSError, EOFError, ValueError, zlib.error),
            gzip.open(path, "rt", encoding="utf-8") as file,
        ):
            for line in file:
                row = json.loads(line)
                if row.get("digest") and row.get("shape"):
                    yield row


_EARLIER = 50  # captures that are looked through
_statistics = attrgetter(*STATISTICS)


def tensor_row(stats: TensorStats, place: str) -> Row:
    """A row of `tensors`."""
    return {
        "digest": stats.digest,
        "dtype": stats.dtype,
        "shape": _json_shape(stats.shape),
        "size": stats.size,
        "nbytes": stats.nbytes,
        **dict(zip(STATISTICS, _statistics(stats), strict=True)),
        "kept": place,
    }


def _tensor_row(digest: str, placement: Mapping[str, Any], place: str) -> Row:
    """A row of `tensors` as the watcher has it."""
    return {
        "digest": digest,
        "dtype": placement.get("dtype"),
        "shape": _json_shape(placement.get("shape")),
        "size": _size(placement.get("shape")),
        "nbytes": placement.get("nbytes"),
        **{k: (placement.get("stats") or {}).get(k) for k in STATISTICS},
        "kept": place,
    }


def _in_file(reference: Any, digest: str) -> RawTensor | None:
    """A tensor that lay in a file the run loaded: [path, size, mtime_ns, inode, name].

    None where the file is another now.
    """
    try:
        path, size, mtime, _, name = reference
        now = Path(path).stat()
        if (now.st_size, now.st_mtime_ns) != (size, mtime):
            return None
        return next(
            (
                RawTensor(digest, t.dtype, t.shape, t.nbytes, t.read)
                for t in raw_tensors(Path(path))
                if t.name == name
            ),
            None,
        )
    except (TypeError, ValueError, OSError, ForensicsError):
        return None


def _json_shape(shape: Any) -> str | None:
    return "[" + ", ".join(str(int(n)) for n in shape) + "]" if isinstance(shape, (list, tuple)) else None


def _size(shape: Any) -> int | None:
    if not isinstance(shape, (list, tuple)):
        return None
    product = 1
    for n in shape:
        product *= int(n)
    return product
