"""One capture or run on disk: a directory of gzipped JSON lines and a manifest.

    manifest.json           {"format", "kind", "name", "head", "files": {NAME: {"size", "sha256"}}}
    tables/TABLE.jsonl.gz   rows of one table of queries/schema.sql; a column that is NULL is left out

It is written under a temporary name and renamed when whole. `head` of a capture is its row of `captures`,
that of a run its row of `runs`. Equal rows give equal bytes: gzip without name and time, keys of the manifest
sorted.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

from forensics import files, schema
from forensics.records import Row
from forensics.store.manifest import FORMAT, NAME, File, Kind
from forensics.typed import encode, lines, utf8


class Writer:
    """Writes one capture or run aside; `seal` makes it appear, leaving the block without `seal` removes it.

    Rows are typed by schema.sql as they come in: an unknown column is dropped, a list or object becomes JSON
    text, NaN and infinity become "NaN", "Infinity", "-Infinity", and a value of another type NULL, for one
    bad value must not cost the rest. `effort` is gzip's, up to 9: what is sent is worth more of it than what
    is kept.
    """

    def __init__(self, parent: Path, name: str, kind: Kind, effort: int = 5) -> None:
        if not NAME.fullmatch(name):
            raise ValueError(f"not a name: {name!r}")
        self._target, self._kind, self._effort = parent / name, kind, effort
        parent.mkdir(parents=True, exist_ok=True)
        self._path = files.aside(self._target)
        (self._path / "tables").mkdir(parents=True)
        self._open: dict[str, _Table] = {}

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def rows(self, table: str, rows: Iterable[Row]) -> None:
        """Append rows to a table of schema.sql; a table without rows makes no file."""
        columns = schema.tables()[table]
        for text in lines(rows, columns):
            if table not in self._open:
                self._open[table] = _Table(self._path / "tables" / f"{table}.jsonl.gz", self._effort)
            self._open[table].add(text)

    def seal(self, head: Mapping[str, Any]) -> Path:
        """Write the manifest, force all to the disk, and rename.

        One of the same name that an interrupted capture left is replaced.
        """
        for table in self._open.values():
            table.close()
        members = {f"tables/{name}.jsonl.gz": table.file for name, table in sorted(self._open.items())}
        document = {
            "format": FORMAT,
            "kind": self._kind,
            "name": self._target.name,
            "head": json.loads(encode(head)),
            "files": {name: {"size": f.size, "sha256": f.sha256} for name, f in members.items()},
        }
        manifest = self._path / "manifest.json"
        manifest.write_bytes(utf8(json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1) + "\n"))
        for path in [*(self._path / name for name in members), manifest, self._path / "tables", self._path]:
            files.sync(path)
        if self._target.exists():
            old = files.aside(self._target)
            self._target.rename(old)
            self._path.rename(self._target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            self._path.rename(self._target)
        files.sync(self._target.parent)
        return self._target

    def discard(self) -> None:
        """Remove what was written and not sealed."""
        for table in self._open.values():
            with contextlib.suppress(OSError):  # a full disk is why we are here
                table.close()
        shutil.rmtree(self._path, ignore_errors=True)


def write(
    parent: Path, name: str, kind: Kind, head: Mapping[str, Any], tables: Mapping[str, Iterable[Row]]
) -> Path:
    """Write a whole capture or run, whose own row `head` is; returns its directory.

    Raises:
        OSError: the disk is full; nothing of it is left.
    """
    with Writer(parent, name, kind) as writer:
        writer.rows(f"{kind}s", [head])
        for table, rows in tables.items():
            writer.rows(table, rows)
        return writer.seal(head)


class _Table:
    """One gzipped file of JSON lines, its digest taken as it is written."""

    def __init__(self, path: Path, effort: int) -> None:
        self._raw = path.open("wb")
        self._digest, self._size = hashlib.sha256(), 0
        self._gzip: gzip.GzipFile | None = gzip.GzipFile("", "wb", effort, cast(BinaryIO, self), mtime=0)

    def add(self, lines: str) -> None:
        """Rows, each a line."""
        if self._gzip is not None:
            self._gzip.write(utf8(lines + "\n"))

    def write(self, packed: bytes) -> None:
        """What gzip made of them."""
        self._digest.update(packed)
        self._size += len(packed)
        self._raw.write(packed)

    def flush(self) -> None:
        self._raw.flush()

    def close(self) -> None:
        """Idempotent; a full disk is an OSError here."""
        if self._gzip is None:
            return
        try:
            self._gzip.close()
        finally:
            self._gzip = None
            self._raw.close()

    @property
    def file(self) -> File:
        return File(self._size, self._digest.hexdigest())
