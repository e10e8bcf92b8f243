"""Writes a checked bundle anew into a store, row by row.

Tensors are compared with their digests, or restored from their base.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from forensics import schema
from forensics.bundle import proofs
from forensics.bundle.archive import MANIFEST, PROOF, README
from forensics.bundle.difference import Restored
from forensics.bundle.reader.validate import REFS, Bundle, parsed
from forensics.errors import DamagedEvidence, ForensicsError, UnreadableModel
from forensics.model.headers import BITS, Entry, read_header
from forensics.records import RawTensor, Row
from forensics.store import packfile
from forensics.store.capture import Writer
from forensics.store.manifest import Manifest
from forensics.tensors import digest as digests


def rebuild(
    bundle: Bundle,
    target: Path,
    names: Mapping[str, str],
    *,
    tensors: bool = True,
    bases: Mapping[str, RawTensor] | None = None,
) -> None:
    """Write captures, runs and packs of a bundle into the store at `target`.

    Args:
        names: what runs are called here.
        tensors: keep them; without, they are checked all the same.
        bases: tensors that are here, by digest, from which those stored as differences are restored.

    Raises:
        DamagedEvidence: a member that is not what the manifest says, or holds what none of ours holds.
    """
    _Rebuilt(bundle, target, names, bases or {}).all(tensors)


class _Rebuilt:
    def __init__(
        self, bundle: Bundle, target: Path, names: Mapping[str, str], bases: Mapping[str, RawTensor]
    ) -> None:
        self._bundle, self._target, self._names, self._bases = bundle, target, names, bases
        # digest of a difference -> digests of the tensors that come of it
        self._held: dict[str, list[str]] = {}
        for digest, d in bundle.differences.items():
            self._held.setdefault(d.held, []).append(digest)
        self._tensors: dict[str, str] = {}  # digest -> its row as text
        self._digests: dict[str, None] = {}  # of placements, in the order in which they are named
        self._numbered: list[str] = []
        self._found: set[str] = set()  # differences that lie in a pack
        self._placements: dict[str, dict[str, str]] = {}  # capture -> name -> its row as text

    def all(self, tensors: bool) -> None:
        likes = [(name, self._like(name)) for name in self._bundle.captures]
        for i, (name, (like, removed)) in enumerate(likes):
            self._capture(name, like, removed)
            needed = {each for _, (each, _) in likes[i + 1 :] if each}
            self._placements = {k: v for k, v in self._placements.items() if k in needed}
        for name, manifest in self._bundle.runs.items():
            with Writer(self._target / "runs", self._named(name), "run") as writer:
                self._tables(writer, f"runs/{name}", manifest, ())
                writer.seal(self._renamed(dict(manifest.head)))
        for name in sorted(self._bundle.members):
            if name.startswith("packs/"):
                self._pack(name, tensors)
            elif name in (README, "report.html", "findings.json", "summary.md"):
                self._bundle.same(name, self._bundle.zip.digest(name))
            elif name == PROOF:
                self._proofs()
        if missing := self._held.keys() - self._found:
            self._bundle.zip.refuse(f"the difference {min(missing)[:16]} is not in it", MANIFEST)

    def _proofs(self) -> None:
        """What its sender's proofs say, written anew as claims of theirs."""
        zipped = self._bundle.zip
        raw = zipped.whole(PROOF, proofs.MAX)
        self._bundle.same(PROOF, hashlib.sha256(raw).hexdigest())
        try:
            claims = proofs.received(parsed(raw, zipped, PROOF), self._bundle.runs)
        except ValueError:
            zipped.refuse("it holds no proof as ours are", PROOF)
        for run, claim in claims.items():
            path = self._target / "proofs" / f"{self._named(run)}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({**claim, "run": self._named(run)}, indent=1), encoding="utf-8")

    def _like(self, name: str) -> tuple[str | None, frozenset[str]]:
        """(the capture whose placements this one repeats, names that it has no more)."""
        base = self._bundle.document["compact"].get(name)
        if base is None:
            return None, frozenset()
        fits = (
            isinstance(base, dict)
            and isinstance(base.get("like"), str)
            and isinstance(base.get("removed"), list)
        )
        if (
            not fits
            or base["like"] not in self._bundle.captures
            or not all(isinstance(n, str) for n in base["removed"])
        ):
            self._bundle.zip.refuse("it says of a capture what none of ours says", MANIFEST)
        return base["like"], frozenset(base["removed"])

    def _capture(self, name: str, like: str | None, removed: frozenset[str]) -> None:
        manifest = self._bundle.captures[name]
        directory = f"captures/{name}"
        own: dict[str, str] = {}
        if like is not None:
            if like not in self._placements:
                self._bundle.zip.refuse("a capture is said to be like one that comes later", MANIFEST)
            own = {k: v for k, v in self._placements[like].items() if k not in removed}
        wanted: list[str] = []
        for table, member in sorted(self._members(directory, manifest), key=lambda t: t[0] != "placements"):
            if table == "placements":
                for row in self._bundle.rows(member, table):
                    self._number(row.get("digest"))
                    own[str(row.get("name"))] = json.dumps({k: v for k, v in row.items() if k != "capture"})
            elif table == "tensors":
                for row in self._bundle.rows(member, table):
                    self._resolve(row, member)
                    if (difference := self._bundle.differences.get(str(row.get("digest")))) is not None:
                        row["kept"] = "pack" if difference.base in self._bases else "none"
                    self._tensors[str(row.get("digest"))] = json.dumps(row)
                    wanted.append(str(row.get("digest")))
        self._placements[name] = own
        ref = str(manifest.head["capture"])
        with Writer(self._target / "captures", self._named(name), "capture") as writer:
            writer.rows("captures", [self._renamed(dict(manifest.head))])
            rows = ({"capture": ref, **json.loads(text)} for text in own.values())
            digests = dict.fromkeys(wanted)
            writer.rows("placements", self._noting(rows, digests))
            writer.rows("tensors", (json.loads(self._tensors[d]) for d in digests if d in self._tensors))
            self._tables(writer, directory, manifest, ("placements", "tensors"))
            writer.seal(self._renamed(dict(manifest.head)))

    def _number(self, digest: Any) -> None:
        if isinstance(digest, str) and digest not in self._digests:
            self._digests[digest] = None
            self._numbered.append(digest)

    def _resolve(self, row: dict[str, Any], member: str) -> dict[str, Any]:
        """Put digests in the place of `#n`, the n-th that placements name."""
        for column in ("digest", "digest_a", "digest_b"):
            value = row.get(column)
            if isinstance(value, str) and value.startswith("#"):
                if (
                    not value[1:].isascii()
                    or not value[1:].isdigit()
                    or len(value) > 9
                    or int(value[1:]) >= len(self._numbered)
                ):
                    self._bundle.zip.refuse(f"{column} names a digest that is not there", member)
                row[column] = self._numbered[int(value[1:])]
        return row

    def _noting(self, rows: Iterator[dict[str, Any]], digests: dict[str, None]) -> Iterator[Row]:
        for row in rows:
            digests[str(row.get("digest"))] = None
            yield self._renamed(row)

    def _tables(self, writer: Writer, directory: str, manifest: Manifest, done: tuple[str, ...]) -> None:
        head = "captures" if manifest.kind == "capture" else "runs"
        for table, member in self._members(directory, manifest):
            if table == head:
                for _ in self._bundle.rows(member, table):
                    pass  # checked; the row that counts is the head
            elif table not in done:
                rows = (
                    self._renamed(self._resolve(row, member) if table == "deltas" else row)
                    for row in self._bundle.rows(member, table)
                )
                if table in schema.tables():
                    writer.rows(table, rows)
                else:
                    list(rows)
        if manifest.kind == "run":
            writer.rows("runs", [self._renamed(dict(manifest.head))])

    def _members(self, directory: str, manifest: Manifest) -> Iterator[tuple[str, str]]:
        for name in sorted(manifest.files):
            if not name.startswith("tables/"):
                self._bundle.zip.refuse("it names a member that none of ours has", f"{directory}/{MANIFEST}")
            yield name.removeprefix("tables/").removesuffix(".jsonl.gz"), f"{directory}/{name}"

    def _named(self, name: str) -> str:
        run, at, place = name.partition("@")
        return self._names.get(run, run) + at + place

    def _renamed(self, row: dict[str, Any]) -> Row:
        for column in REFS & row.keys():
            row[column] = self._named(str(row[column]))
        return row

    def _pack(self, member: str, keep: bool) -> None:
        """A file of tensors under their digests, copied to a directory beside the store.

        Its header must have the one form, and each tensor its digest.
        """
        bundle = self._bundle
        path = self._target / member
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        digest = hashlib.sha256()
        with part.open("wb") as file:
            for block in bundle.zip.blocks(member, 1 << 20):
                digest.update(block)
                file.write(block)
        bundle.same(member, digest.hexdigest())
        try:
            header = read_header(part)
            foreign = json.loads(header.metadata.get("forensics.types", "{}"))
            for entry in header.entries:
                self._tensor(part, entry, foreign.get(entry.name), member)
        except (ForensicsError, ValueError, AttributeError, TypeError) as error:
            if isinstance(error, DamagedEvidence):
                raise
            bundle.zip.refuse(f"it is no file of tensors: {getattr(error, 'message', error)}"[:200], member)
        differences = [entry for entry in header.entries if entry.name in self._held]
        if differences and len(differences) < len(header.entries):
            bundle.zip.refuse("it mixes tensors and differences", member)
        if keep and differences:
            self._restore(part, differences, member)
        if keep and not differences:
            part.replace(path)
        else:
            part.unlink()
        self._found.update(entry.name for entry in differences)

    def _restore(self, part: Path, entries: list[Entry], member: str) -> None:
        """Write a pack of the tensors that come of these differences, as far as their bases are here.

        The digest of each must hold.
        """
        restored = {}
        for entry in entries:
            for digest in self._held[entry.name]:
                difference = self._bundle.differences[digest]
                base = self._bases.get(difference.base)
                if base is None:
                    continue
                if (base.dtype, base.shape) != (difference.dtype, difference.shape):
                    self._bundle.zip.refuse("a difference has another form than its base", member)
                read = Restored(base, _slices(part, entry.begin, entry.end)).read
                restored[digest] = RawTensor(digest, base.dtype, base.shape, base.nbytes, read)
        if not restored:
            return
        try:
            packfile.write(part.with_name(f"{packfile.name_of(restored)}.safetensors"), restored)
        except ValueError as error:
            self._bundle.zip.refuse(f"a difference in it is damaged: {error}", member)
        except UnreadableModel as error:
            self._bundle.zip.refuse(
                f"tensor {error.where[:16]}, restored from its base, is not what its digest says", member
            )

    def _tensor(self, path: Path, entry: Entry, foreign: Any, member: str) -> None:
        dtype, shape = entry.dtype, entry.shape
        if foreign is not None:
            dtype, shape = str(foreign[0]), tuple(int(n) for n in foreign[1])
            if dtype in BITS or not dtype.isascii() or len(dtype) > 16:
                self._bundle.zip.refuse("a tensor of it says two types", member)
        digest = digests.begun(dtype, shape)
        for block in _slices(path, entry.begin, entry.end):
            digest.update(block)
        if digest.hexdigest() != entry.name:
            self._bundle.zip.refuse(f"tensor {entry.name[:16]} is not what its digest says", member)


def _slices(path: Path, begin: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(begin)
        while begin < end:
            block = file.read(min(end - begin, 1 << 18))
            if not block:
                return
            begin += len(block)
            yield block
