"""A stranger's bundle: its manifest holds, and its rows are held to their types as they are read.

Without DuckDB and NumPy.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from forensics import schema
from forensics.bundle.archive import MANIFEST, SIGNATURE, SUMS, Zipped, sums
from forensics.bundle.difference import MAX_USES, Difference
from forensics.errors import DamagedEvidence
from forensics.model.headers import MAX_HEADER
from forensics.store.manifest import Manifest, parse_manifest, ref_of, run_of

FORMAT = 2
LEVELS = ("stats", "changed", "full")
REFS = {"capture", "run", "probes_of", "capture_a", "capture_b", "capture_adapter", "capture_fused"}
"""Columns that hold the ref of a capture or the name of a run."""
_CLOCK = {"seconds", "time"}
"""Columns of durations and moments, which every process can tell: never NaN, never without end."""
_LONGEST = 1e12
_LARGEST = 1 << 1023
"""Whole numbers beyond it are no DOUBLE."""
_MAX_LINE = 4 << 20
_MAX_TABLE = 512 << 20  # bytes of a table, unpacked
_MAX_RATIO = 150  # of unpacked to packed bytes, beyond the first megabyte
_GZIP = b"\x1f\x8b\x08\0\0\0\0\0"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Bundle:
    """A bundle whose manifest holds: the members are these, of these sizes.

    `read` then checks and rebuilds what is in them.
    """

    def __init__(self, zipped: Zipped) -> None:
        self.zip = zipped
        for name in (MANIFEST, SUMS):
            if name not in zipped.members:
                zipped.refuse("this member is missing", name)
        raw = zipped.whole(MANIFEST)
        self.id = hashlib.sha256(raw).hexdigest()
        self.document = self._document(raw)
        self.members: dict[str, tuple[int, str]] = {
            n: (m["size"], m["sha256"]) for n, m in self.document["members"].items()
        }
        self._declared()
        self.differences = self._differences()
        self.refs: set[str] | None = None
        self.dropped = 0
        order = self.document["captures"]
        self.captures = {name: self._part(f"captures/{name}", "capture") for name in order}
        self.runs = {name: self._part(f"runs/{name}", "run") for name in self.document["runs"]}
        self.refs = {str(m.head.get("capture")) for m in self.captures.values()} | {
            *self.runs,
            *(run_of(n) for n in order),
        }
        for name, manifest in self.captures.items():
            self._head(manifest, f"captures/{name}/{MANIFEST}")

    @property
    def names(self) -> list[str]:
        """The names of its runs."""
        return list(dict.fromkeys([*self.runs, *(run_of(name) for name in self.captures)]))

    def _document(self, raw: bytes) -> dict[str, Any]:
        d = parsed(raw, self.zip, MANIFEST)
        if not isinstance(d, dict) or d.get("kind") != "bundle" or type(d.get("format")) is not int:
            self.zip.refuse("it is no manifest of a bundle", MANIFEST)
        if d["format"] > FORMAT:
            raise DamagedEvidence(
                f"The bundle has format {d['format']}, newer than this version reads ({FORMAT}).",
                str(self.zip.path),
                "Upgrade mlx-forensics.",
            )
        lists = all(
            isinstance(d.get(k), list) and all(isinstance(n, str) for n in d[k]) for k in ("captures", "runs")
        )
        members = d.get("members")
        if (
            d["format"] < 1
            or d.get("level") not in LEVELS
            or not lists
            or not isinstance(members, dict)
            or not isinstance(d.get("compact"), dict)
        ):
            self.zip.refuse("it has not the form of a bundle's manifest", MANIFEST)
        for name, m in members.items():
            fits = (
                isinstance(m, dict)
                and type(m.get("size")) is int
                and isinstance(m.get("sha256"), str)
                and len(m["sha256"]) == 64
            )
            if not fits:
                self.zip.refuse("its entry in the manifest has not size and digest", name)
        if raw != canonical(d):
            self.zip.refuse("it is not in canonical form", MANIFEST)
        return d

    def _declared(self) -> None:
        """Exactly the members of the manifest, of their sizes, and the list for sha256sum says the same."""
        there = set(self.zip.members) - {MANIFEST, SUMS, SIGNATURE}
        for name in sorted(there - set(self.members)):
            self.zip.refuse("the manifest does not name this member", name)
        for name in sorted(set(self.members) - there):
            self.zip.refuse("this member is missing", name)
        for name, (size, _) in self.members.items():
            if self.zip.members[name].size != size:
                self.zip.refuse(
                    f"it has {self.zip.members[name].size:,} bytes, and the manifest says {size:,}", name
                )
        listed = sums([*((name, digest) for name, (_, digest) in self.members.items()), (MANIFEST, self.id)])
        if self.zip.whole(SUMS) != listed:
            self.zip.refuse("it does not say what the manifest says", SUMS)

    def _differences(self) -> dict[str, Difference]:
        """How tensors come back that are stored as what differs from another, by their digests."""
        declared, against = self.document.get("differences", {}), self.document.get("against", [])
        if (
            not isinstance(declared, dict)
            or not isinstance(against, list)
            or not set(against) <= set(self.document["captures"])
        ):
            self.zip.refuse("it says of differences what none of ours says", MANIFEST)
        if declared and self.document["format"] < 2:
            self.zip.refuse("its format has no differences", MANIFEST)
        differences = {}
        for digest, d in declared.items():
            if not _DIGEST.fullmatch(digest) or not _restorable(d) or d["base"] in declared:
                self.zip.refuse("it says of a difference what none of ours says", MANIFEST)
            differences[digest] = Difference(d["base"], d["dtype"], tuple(d["shape"]), d["held"])
        if max(Counter(d.base for d in differences.values()).values(), default=0) > MAX_USES:
            self.zip.refuse(f"more than {MAX_USES} tensors differ from one base", MANIFEST)
        return differences

    def _part(self, directory: str, kind: str) -> Manifest:
        """The manifest of one capture or run, whose tables are the members below it."""
        name = f"{directory}/{MANIFEST}"
        if name not in self.members:
            self.zip.refuse("this member is missing", name)
        raw = self.zip.whole(name, MAX_HEADER)
        self.same(name, hashlib.sha256(raw).hexdigest())
        parsed(raw, self.zip, name)
        manifest = parse_manifest(raw, f"{self.zip.path}: {name}")
        tables = {
            n.removeprefix(f"{directory}/") for n in self.members if n.startswith(f"{directory}/tables/")
        }
        if manifest.kind != kind or f"{kind}s/{manifest.name}" != directory or set(manifest.files) != tables:
            self.zip.refuse("it does not describe what lies beside it", name)
        self._head(manifest, name)
        return manifest

    def _head(self, manifest: Manifest, member: str) -> None:
        head = self.typed("captures" if manifest.kind == "capture" else "runs", dict(manifest.head), member)
        ref = ref_of(manifest.name, str(head.get("model") or "m0"))
        if head.get("run") != run_of(ref) or ("@" in ref and head.get("capture") != ref):
            self.zip.refuse("its head names another capture", member)

    def same(self, name: str, digest: str) -> None:
        """Refuse a member whose digest is another than the manifest's."""
        if self.members[name][1] != digest:
            self.zip.refuse("its digest is not the one in the manifest", name)

    # -- rows ------------------------------------------------------------------------------------------------

    def rows(self, member: str, table: str) -> Iterator[dict[str, Any]]:
        """The rows of a table, held to their types. What a newer version added is dropped."""
        if table not in schema.tables():
            self.same(member, self.zip.digest(member))
            self.dropped += 1
            return
        for line in self._lines(member):
            value = parsed(line, self.zip, member)
            if not isinstance(value, dict) or not value:
                self.zip.refuse("a line of it is no row", member)
            yield self.typed(table, value, member)

    def _lines(self, member: str) -> Iterator[bytes]:
        """The lines of a gzipped member.

        It is unpacked once before its first line is parsed, which takes several times as long.
        """
        for _ in self._unpacked(member):
            pass
        rest = b""
        for part in self._unpacked(member):
            *lines, rest = (rest + part).split(b"\n")
            yield from lines
            if len(rest) > _MAX_LINE:
                self.zip.refuse("a line of it is longer than 4 MB", member)
        if rest:
            self.zip.refuse("its last line has no end", member)

    def _unpacked(self, member: str) -> Iterator[bytes]:
        """The content of a gzipped member; its size is bounded on the way, its digest compared at the end."""
        digest = hashlib.sha256()
        limit = min(_MAX_TABLE, _MAX_RATIO * self.zip.members[member].size + (1 << 20))
        stream, total = zlib.decompressobj(31), 0
        for number, block in enumerate(self.zip.blocks(member)):
            digest.update(block)
            if number == 0 and block[:8] != _GZIP:
                self.zip.refuse("it is no gzip file of ours", member)
            while block:
                try:
                    part = stream.decompress(block, 1 << 18)
                except zlib.error:
                    self.zip.refuse("it cannot be unpacked", member)
                block = stream.unconsumed_tail
                total += len(part)
                if total > limit:
                    self.zip.refuse(f"it unpacks to more than {limit:,} bytes", member)
                yield part
                if stream.eof:
                    break
        if not stream.eof or stream.unused_data:
            self.zip.refuse("it is cut off, or something follows its end", member)
        self.same(member, digest.hexdigest())

    def typed(self, table: str, row: dict[str, Any], member: str) -> dict[str, Any]:
        """The row, each value of its column's type; refs name captures and runs of this bundle."""
        columns, documents = schema.tables()[table], schema.marked("JSON")[table]
        values = {}
        for column, value in row.items():
            kind = columns.get(column)
            if kind is None:
                self.dropped += 1
                continue
            if value is None:
                continue
            if not _fits(kind, value):
                self.zip.refuse(f"{column} holds a value of another type than {kind}", member)
            if column in _CLOCK and not (isinstance(value, (int, float)) and abs(value) < _LONGEST):
                self.zip.refuse(f"{column} holds what no clock says", member)
            if column in documents and isinstance(value, str):
                parsed(value.encode("utf-8", "surrogatepass"), self.zip, member)
            values[column] = value
        for column in REFS & values.keys():
            if self.refs is not None and values[column] not in self.refs:
                self.zip.refuse(f"{column} names something outside of the bundle", member)
        return values


def _restorable(d: object) -> bool:
    """Has a difference its base, what holds it, and the form of the tensor?"""
    if not isinstance(d, dict) or not all(isinstance(d.get(k), str) for k in ("base", "held", "dtype")):
        return False
    shape = d.get("shape")
    whole = (
        isinstance(shape, list)
        and len(shape) <= 16
        and all(type(n) is int and 0 <= n < 1 << 48 for n in shape)
    )
    return (
        whole
        and all(_DIGEST.fullmatch(d[k]) for k in ("base", "held"))
        and re.fullmatch(r"[A-Z0-9_]{1,16}", d["dtype"]) is not None
    )


def _fits(kind: str, value: object) -> bool:
    if kind == "VARCHAR":
        return isinstance(value, str)
    if kind == "BOOLEAN":
        return isinstance(value, bool)
    if kind == "DOUBLE":
        if isinstance(value, int) and not isinstance(value, bool):
            return abs(value) < _LARGEST
        return isinstance(value, float) or value in ("NaN", "Infinity", "-Infinity")
    limit = 1 << (63 if kind == "BIGINT" else 31)
    return isinstance(value, int) and not isinstance(value, bool) and -limit <= value < limit


def parsed(raw: bytes, zipped: Zipped, member: str) -> Any:
    """JSON without bare NaN, repeated keys, or depth without end."""
    try:
        return json.loads(
            raw.decode("utf-8", "surrogatepass"), parse_constant=_constant, object_pairs_hook=_object
        )
    except (ValueError, RecursionError) as error:
        zipped.refuse(f"it holds JSON that is none: {str(error)[:80]}", member)


def _constant(name: str) -> Any:
    raise ValueError(f"bare {name}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key stands there twice")
    return values


def canonical(document: Mapping[str, Any]) -> bytes:
    """The one way in which a manifest is written."""
    return (json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode(
        "utf-8", "surrogatepass"
    )
