"""The manifest of a sealed directory: what it holds, and whether that is still what was recorded."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forensics import files
from forensics.errors import DamagedEvidence
from forensics.records import Row, Scalar

FORMAT = 1
Kind = Literal["capture", "run"]
RUN_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._][A-Za-z0-9._-]{0,63}")
"""Names that a run may be given. One that begins with a dash would be an option where it is typed.

What bears one can be read.
"""
NAME_HINT = "Use up to 64 letters, digits, dots, dashes and underscores, and no dash first."
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}(@[A-Za-z0-9._-]{1,80})?")
"""Names of sealed directories: RUN, RUN@POINT, RUN@POINT.MODEL."""


def ref_of(name: str, model: str) -> str:
    """The ref of a capture in a directory: night@end.m1 is night@end:m1 where its model is m1."""
    run, at, place = name.partition("@")
    other = at and place.endswith(f".{model}")
    return f"{run}@{place.removesuffix(f'.{model}')}:{model}" if other else name


def name_of(ref: str) -> str:
    """The directory's name of a capture: `:` stands in no name of a file on some systems."""
    return ref.replace(":", ".")


def run_of(ref: str) -> str:
    """The run in a ref, or in the name of a directory."""
    return ref.partition("@")[0]


_MEMBER = re.compile(r"(tables/[a-z_]{1,40}\.jsonl\.gz|tensors/[A-Za-z0-9._-]{1,80}\.safetensors)")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HINT = "Capture again, or ask for the file again; what is in there cannot be trusted."
_MAX_MANIFEST = 8 << 20


@dataclass(frozen=True, slots=True)
class File:
    """A member of a capture directory, as its manifest names it."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checked manifest."""

    format: int
    kind: Kind
    name: str
    head: Row
    files: Mapping[str, File]


def read_manifest(path: Path) -> Manifest:
    """The manifest of a capture or run directory.

    Raises:
        DamagedEvidence: none there, unreadable, of a newer format, or naming members that none of ours has.
    """
    try:
        with (path / "manifest.json").open("rb") as file:
            data = file.read(_MAX_MANIFEST + 1)
    except OSError as error:
        raise DamagedEvidence(
            f"The capture has no readable manifest: {error.strerror}.", where=str(path), hint=_HINT
        ) from error
    return parse_manifest(data, str(path))


def parse_manifest(data: bytes, where: str) -> Manifest:
    """As `read_manifest`, from its bytes."""

    def refuse(why: str) -> DamagedEvidence:
        return DamagedEvidence(f"The manifest is damaged: {why}.", where=where, hint=_HINT)

    if len(data) > _MAX_MANIFEST:
        raise refuse("it is too large")
    try:
        d = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise refuse("it is no JSON") from error
    if not isinstance(d, dict) or type(d.get("format")) is not int or d.get("kind") not in ("capture", "run"):
        raise refuse("it has no format and kind")
    if d["format"] > FORMAT:
        raise DamagedEvidence(
            f"The capture has format {d['format']}, newer than this version reads ({FORMAT}).",
            where,
            "Upgrade mlx-forensics.",
        )
    name, head, members = d.get("name"), d.get("head"), d.get("files")
    if (
        not isinstance(name, str)
        or not NAME.fullmatch(name)
        or not isinstance(head, dict)
        or not isinstance(members, dict)
    ):
        raise refuse("it has no name, head and files")
    if not all(v is None or isinstance(v, (str, int, float, bool)) for v in head.values()):
        raise refuse("its head holds more than plain values")
    for member, f in members.items():
        if not _MEMBER.fullmatch(member) or not isinstance(f, dict) or type(f.get("size")) is not int:
            raise refuse(f"member {member[:80]!r}")
        if not isinstance(f.get("sha256"), str) or not _DIGEST.fullmatch(f["sha256"]):
            raise refuse(f"member {member[:80]!r} has no digest")
    checked = {member: File(f["size"], f["sha256"]) for member, f in members.items()}
    return Manifest(d["format"], d["kind"], name, head, checked)


def rewrite_head(path: Path, key: str, value: Scalar) -> None:
    """Give one entry of a sealed directory's head another value, where the head has that entry.

    Its members stay as they are.

    Raises:
        DamagedEvidence: as `read_manifest`.
    """
    manifest = path / "manifest.json"
    if not path.is_dir() or key not in read_manifest(path).head:
        return
    document = json.loads(manifest.read_bytes())
    document["head"][key] = value
    files.write_whole(
        manifest, (json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1) + "\n").encode()
    )


def verify(path: Path, manifest: Manifest | None = None) -> list[str]:
    """Problems of a capture directory, one line each.

    Members that are missing, changed, or not in the manifest.

    Raises:
        DamagedEvidence: the manifest cannot be read.
    """
    m = manifest or read_manifest(path)
    problems = [problem for name, f in m.files.items() if (problem := _member(path, name, f))]
    known = {"manifest.json", *m.files}
    there = (p.relative_to(path).as_posix() for p in path.rglob("*") if not p.is_dir() or p.is_symlink())
    return problems + [f"{name} is not in the manifest" for name in sorted(there) if name not in known]


def _member(path: Path, name: str, f: File) -> str | None:
    member = path / name
    if member.is_symlink() or not member.is_file():
        return f"{name} is missing"
    size = member.stat().st_size
    if size != f.size:
        return f"{name} has {size:,} bytes, not {f.size:,}"
    with member.open("rb") as file:
        same = hashlib.file_digest(file, "sha256").hexdigest() == f.sha256
    return None if same else f"{name} is not what was recorded (its digest differs)"


def checked(path: Path, manifest: Manifest, names: Sequence[str]) -> list[Path]:
    """The files of these members, each compared with its digest.

    Raises:
        DamagedEvidence: one is missing or changed.
    """
    for name in names:
        problem = _member(path, name, manifest.files[name])
        if problem:
            raise DamagedEvidence(f"The capture is damaged: {problem}.", where=str(path), hint=_HINT)
    return [path / name for name in names]


def contents(path: Path, manifest: Manifest, names: Sequence[str]) -> list[bytes]:
    """As `checked`, the bytes instead of the files."""
    members = []
    for name in names:
        f = manifest.files[name]
        try:
            data = (path / name).read_bytes()
        except OSError as error:
            raise DamagedEvidence(
                f"The capture is damaged: {name} is missing.", where=str(path), hint=_HINT
            ) from error
        if len(data) != f.size or hashlib.sha256(data).hexdigest() != f.sha256:
            raise DamagedEvidence(
                f"The capture is damaged: {name} is not what was recorded.", where=str(path), hint=_HINT
            )
        members.append(data)
    return members


def scalar(value: Scalar, default: int) -> int:
    """A whole number of a head, or `default`."""
    return value if isinstance(value, int) and not isinstance(value, bool) else default
