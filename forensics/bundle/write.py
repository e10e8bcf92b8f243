"""Captures and runs as one zip that may leave the machine.

Rows are redacted, tensors are in it as far as asked, and everything has a digest.

It is staged in a directory first, so that its size and every text in it are known before the file is written.
"""

from __future__ import annotations

import glob
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forensics import __version__, files
from forensics.bundle import contents, repeats
from forensics.bundle.archive import MANIFEST, README, SIGNATURE, SUMS, sums, write
from forensics.bundle.contents import Level, Selected, Tensors
from forensics.bundle.reader.validate import canonical
from forensics.bundle.redact import Redactor
from forensics.errors import UsageError
from forensics.store.keyed import Keyed
from forensics.store.manifest import run_of
from forensics.store.packs import Packs
from forensics.store.store import Store, size_of

_README = """This is a bundle of evidence recorded by mlx-forensics: what a training run did, without its
data.

Check it:        sha256sum -c manifest-sha256.txt   (after unzipping)
Read it:         forensics diagnose FILE.zip        forensics open FILE.zip
Without it:      tables are gzipped JSON lines (any DuckDB reads them), tensors are safetensors files named by
                 digests; findings.json, report.html and summary.md, where they are here, are what its
                 sender's copy said

Statistics of a tensor stand in the first capture that has it. Of a capture that is `like` another (`compact`
in manifest.json), placements holds only the rows that differ; `removed` are names that it has no more. In a
large bundle `#n` in a digest column of tensors and deltas is the n-th distinct digest (from 0) in the
placements of the captures, in the order of manifest.json.

manifest.json says what was left out and what was redacted. Digests of texts are keyed; the key never leaves
its machine. Under `differences` it names tensors that are not here whole: `held` is the U8 tensor in packs/
that, inflated (zlib), gives the XOR with the tensor of digest `base`; in every block of 1048576 bytes the
first bytes of all elements come first, then the second.
"""


_A_MEMBER = 480  # bytes by which the zip's headers, the manifest and the list of digests name one
_A_TENSOR = 140  # and by which a pack's header names one, or the manifest a difference, half of it


@dataclass
class Staged:
    """A bundle in a directory, before it is a zip; its tensors are known and not written yet."""

    root: Path
    level: Level
    text: bool
    redactor: Redactor
    tensors: Tensors = field(default_factory=Tensors)
    captures: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    compact: dict[str, dict[str, Any]] = field(default_factory=dict)
    extra: dict[str, bytes] = field(default_factory=dict)

    def nbytes(self) -> int:
        """Bytes of the zip, as near as its directory: known before tensors are written."""
        members = sum(1 for p in self.root.rglob("*") if p.is_file()) + len(self.extra) + 6
        named = _A_MEMBER * members + _A_TENSOR * (len(self.tensors) + len(self.tensors.differences) * 2)
        return size_of(self.root) + self.tensors.nbytes + sum(map(len, self.extra.values())) + named

    def largest(self) -> list[tuple[str, int]]:
        """What takes most room: (member, or `tensors`, bytes), largest first."""
        sizes = [
            (p.relative_to(self.root).as_posix(), p.stat().st_size)
            for p in self.root.rglob("*")
            if p.is_file()
        ]
        sizes += [
            ("tensors", self.tensors.nbytes),
            *((name, len(content)) for name, content in self.extra.items()),
        ]
        return sorted(sizes, key=lambda item: -item[1])[:5]


def stage(
    store: Store, selected: Selected, level: Level, *, text: bool, stack: ExitStack, people: bool = False
) -> Staged:
    """Redact everything into a temporary directory that `stack` removes.

    `people`: phone numbers and the like in texts stay too.

    Raises:
        DamagedEvidence: a capture differs from its manifest.
    """
    root, scratch = (Path(stack.enter_context(files.temporary("bundle"))) for _ in range(2))
    tensors = contents.tensors(selected, level, scratch)
    stored = {str(c.head.get("capture")) for c in selected.captures}
    known = (
        stored
        | {run_of(c.path.name) for c in selected.captures}
        | {r.path.name for r in selected.runs if r.path}
    )
    redactor = Redactor(_key(store), text=text, people=people, names=known)
    captures = repeats.Captures(root, redactor, known, {*tensors.whole, *tensors.differences})
    captures.all(selected.captures)
    runs = [run.path for run in selected.runs if run.path is not None]
    for path in runs:
        repeats.run(root, redactor, path, known)
    return Staged(
        root, level, text, redactor, tensors, captures.names, [path.name for path in runs], captures.compact
    )


def _key(store: Store) -> Keyed:
    """The store's key; one for this bundle alone where the store has none and may only be read."""
    try:
        return Keyed.of(store.root)
    except OSError:
        return Keyed(secrets.token_bytes(32))


def size_at(staged: Staged, selected: Selected, level: Level) -> int:
    """Bytes that the same bundle would have at another level."""
    with files.temporary("bundle") as scratch:
        return (
            staged.nbytes() - staged.tensors.nbytes + contents.tensors(selected, level, Path(scratch)).nbytes
        )


def finish(
    staged: Staged, out: Path, *, tensors: bool = True, sign: Callable[[bytes], bytes] | None = None
) -> str:
    """Write tensors and the zip, aside and renamed; returns the bundle's id.

    Args:
        tensors: without them it is one of level stats.
        sign: makes a signature of the manifest, which then lies beside it.

    Raises:
        UsageError: the file cannot be written there.
    """
    if tensors:
        packs = Packs(staged.root / "packs")
        for item in (staged.tensors.whole, staged.tensors.deflated):  # a pack holds the ones or the others
            packs.put(sorted(item.items()))
    members: dict[str, Path | bytes] = {
        p.relative_to(staged.root).as_posix(): p
        for p in staged.root.rglob("*")
        if p.is_file() and p.name != "lock"
    }
    members |= {README: _README.encode(), **staged.extra}
    described = {name: _described(content) for name, content in members.items()}
    manifest = canonical(_document(staged, described, tensors))
    identity = hashlib.sha256(manifest).hexdigest()
    listed = sums([*((name, d["sha256"]) for name, d in described.items()), (MANIFEST, identity)])
    signature = [(SIGNATURE, sign(manifest))] if sign else []
    for left in out.parent.glob(f"{glob.escape(out.name)}~*"):
        if files.stale(left):  # of a process that was killed
            left.unlink(missing_ok=True)
    part = files.aside(out)
    try:
        write(part, [*members.items(), (MANIFEST, manifest), (SUMS, listed), *signature])
        files.sync(part)
        part.replace(out)
    except OSError as error:
        raise UsageError(
            f"The bundle cannot be written: {error.strerror}.",
            where=str(out),
            hint="Give another place with -o.",
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return identity


def _document(staged: Staged, members: Mapping[str, Mapping[str, Any]], tensors: bool) -> dict[str, Any]:
    """The manifest. Its format is the lowest that reads it: 1 where no tensor is stored as a difference."""
    differences = (
        {d: difference.document() for d, difference in sorted(staged.tensors.differences.items())}
        if tensors
        else {}
    )
    return {
        "format": 2 if differences else 1,
        "kind": "bundle",
        "made_by": f"mlx-forensics {__version__}",
        "level": staged.level,
        "text": staged.text,
        "captures": staged.captures,
        "runs": staged.runs,
        "compact": staged.compact,
        "left_out": {"tensors": staged.tensors.left_out},
        "redacted": {column: n for column, n in sorted(staged.redactor.counts.items()) if n},
        "members": members,
        **({"differences": differences, "against": staged.tensors.against} if differences else {}),
    }


def _described(content: Path | bytes) -> dict[str, Any]:
    if isinstance(content, bytes):
        return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    with content.open("rb") as file:
        return {"size": content.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def remember(store: Store, staged: Staged, identity: str) -> Path:
    """Keep at home what each token of a bundle stands for."""
    path = store.root / "redacted" / f"{identity[:16]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_whole(
        path,
        json.dumps(staged.redactor.map, ensure_ascii=False, sort_keys=True, indent=1).encode(
            "utf-8", "surrogatepass"
        ),
    )
    path.chmod(0o600)
    return path
