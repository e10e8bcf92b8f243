"""The captures of a bundle, redacted, what one repeats of an earlier one not written again."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from forensics.bundle.contents import tables
from forensics.bundle.forms import environment
from forensics.bundle.redact import Redactor
from forensics.records import Row
from forensics.store.capture import Writer
from forensics.store.manifest import read_manifest
from forensics.store.store import Capture, size_of

LARGE = 4_000_000
"""Bytes of captures from which on rows are written shorter."""
_BETWEEN = {"probe_deltas": ("capture_a", "capture_b"), "fusions": ("capture_adapter", "capture_fused")}


class Captures:
    """Writes captures one after the other below `root`.

    `names` are those written, `compact` says which repeats which.

    `known` are the captures and runs of the bundle, `kept` the digests whose bytes go with it.
    """

    def __init__(self, root: Path, redactor: Redactor, known: set[str], kept: Container[str]) -> None:
        self.names: list[str] = []
        self.compact: dict[str, dict[str, Any]] = {}
        self._root, self._redactor, self._known, self._kept = root, redactor, known, kept
        self._tensors: set[str] = set()
        self._numbers: dict[str, str] = {}  # digest -> #n, in the order in which placements name them
        self._large = False
        # run, model -> its last capture and placements
        self._before: dict[tuple[str, str], tuple[str, dict[str, dict[str, Any]]]] = {}

    def all(self, captures: Iterable[Capture]) -> None:
        ordered = sorted(captures, key=lambda c: (c.run, c.sequence, c.path.name))
        self._large = sum(size_of(c.path) for c in ordered) > LARGE
        for c in ordered:
            with Writer(self._root / "captures", c.path.name, "capture", 9) as writer:
                for table, rows in sorted(tables(c.path), key=lambda t: t[0] != "placements"):
                    writer.rows(table, (self._short(table, row) for row in self._some(c, table, rows)))
                writer.seal(head(self._redactor, "captures", c.path, self._known))
            self.names.append(c.path.name)

    def _some(self, c: Capture, table: str, rows: Iterator[dict[str, Any]]) -> Iterator[Row]:
        if table == "tensors":
            rows = ({**row, "kept": "pack" if row.get("digest") in self._kept else "none"} for row in rows)
        redacted = self._redactor.rows(table, (row for row in rows if leaves(table, row, self._known)))
        if table == "placements":
            yield from self._placements(c, list(redacted))
        elif table == "tensors":
            for row in redacted:
                if str(row.get("digest")) not in self._tensors:
                    self._tensors.add(str(row.get("digest")))
                    yield row
        elif table == "captures":
            yield head(self._redactor, "captures", c.path, self._known)
        else:
            yield from redacted

    def _short(self, table: str, row: Row) -> Row:
        """Rows of a large bundle, shortened.

        Numbers get seven digits, and digests that placements name are replaced by their place there.

        Digests do not compress: named again in statistics and differences they would be half of the file.
        """
        if table == "placements" and row.get("digest"):
            self._numbers.setdefault(str(row["digest"]), f"#{len(self._numbers)}")
        if not self._large or table not in ("tensors", "deltas"):
            return row
        brief = {k: _brief(k, v) if isinstance(v, float) else v for k, v in row.items()}
        return {k: self._numbers.get(str(v), v) if k.startswith("digest") else v for k, v in brief.items()}

    def _placements(self, c: Capture, rows: list[Row]) -> Iterator[Row]:
        """The rows that differ from the capture before of the same model, where that is fewer."""
        key = c.run, c.model
        own = {str(r["name"]): {k: v for k, v in r.items() if k != "capture"} for r in rows}
        before = self._before.get(key)
        self._before[key] = c.path.name, own
        if before is None or len(own) < len(rows):
            yield from rows
            return
        like, digests = before
        changed = [r for r in rows if digests.get(str(r["name"])) != own[str(r["name"])]]
        removed = [name for name in digests if name not in own]
        if len(changed) + len(removed) > 0.9 * len(rows):
            yield from rows
            return
        self.compact[c.path.name] = {"like": like, "removed": sorted(removed)}
        yield from changed


def run(root: Path, redactor: Redactor, path: Path, known: set[str]) -> None:
    """Write a run, redacted, below `root`."""
    with Writer(root / "runs", path.name, "run", 9) as writer:
        for table, rows in tables(path):
            leaving = (_without_absent(row, known) for row in rows if leaves(table, row, known))
            redacted = redactor.rows(table, leaving)
            writer.rows(table, [head(redactor, "runs", path, known)] if table == "runs" else redacted)
        writer.seal(head(redactor, "runs", path, known))


def head(redactor: Redactor, table: str, path: Path, known: set[str]) -> dict[str, Any]:
    """The row of a capture or run itself."""
    return dict(redactor.row(table, _without_absent(read_manifest(path).head, known)))


def _without_absent(row: Mapping[str, Any], known: set[str]) -> Row:
    """The row without the names of captures that are not in the bundle.

    Those stay at home, or were removed there.
    """
    return {
        column: value
        for column, value in row.items()
        if column not in ("capture", "probes_of") or value in known
    }


def leaves(table: str, row: Mapping[str, Any], known: set[str]) -> bool:
    """Does this row belong into the bundle: about captures that are in it, an environment's version?"""
    if table == "environment" and not environment(row):
        return False
    return all(row.get(column) in known for column in _BETWEEN.get(table, ()))


def _brief(column: str, value: float) -> float:
    """Seven digits, as a float32 has them.

    Of a cosine, whose distance from 1 counts, as many as float64 sums give.
    """
    return round(value, 12) if column == "cosine" else float(f"{value:.7g}")
