"""The files that make up a store's packs.

They are written streamed and checked, listed by position, or referred to where they lie.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from forensics import files
from forensics.errors import DamagedEvidence, ForensicsError, UnreadableModel
from forensics.model.headers import BITS, MAX_HEADER, read_header
from forensics.records import RawTensor
from forensics.tensors import digest as digests

FOREIGN = "forensics.types"
"""Metadata key of a pack: {digest: [dtype, shape]} of tensors whose type safetensors does not know.

They lie there as U8.
"""
_PART = 1 << 20  # bytes that are read at a time, from front to back
Reference = tuple[str, list[int], dict[str, list[Any]]]
"""Path of a model file, its size, time and inode, and {digest: [dtype, shape, begin, end]}."""


REFERENCE = ".file.json"
"""Suffix of what says where in a model file, which stays where it is, tensors lie."""


def reference(path: Path) -> Reference:
    try:
        d = json.loads(path.read_bytes())
        return str(d["path"]), list(d["state"]), dict(d["tensors"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", [], {}


def name_of(digests: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()[:32]


def tensors(path: Path) -> list[RawTensor]:
    if path.suffix == ".gguf":
        from forensics.model.gguf import read_gguf  # import time: few packs are GGUF

        return list(read_gguf(path).tensors())
    return list(read_header(path).tensors())


def placed(path: Path) -> dict[str, list[Any]]:
    """Where in a pack each tensor lies: digest to [dtype, shape, begin, end].

    It is read from the list beside the pack, or from the pack's header.

    Raises:
        DamagedEvidence: neither can be read.
    """
    try:
        if (listed := path.with_suffix(".json")).is_file():
            return {
                d: [str(t), list(s), int(b), int(e)]
                for d, (t, s, b, e) in json.loads(listed.read_bytes()).items()
            }
        header = read_header(path)
        foreign = json.loads(header.metadata.get(FOREIGN, "{}"))
        return {e.name: [*foreign.get(e.name, (e.dtype, e.shape)), e.begin, e.end] for e in header.entries}
    except (ForensicsError, OSError, ValueError, TypeError) as error:
        raise DamagedEvidence(
            "A pack cannot be read.", where=str(path), hint="Run `forensics verify`; capture again."
        ) from error


def listing(path: Path, suffix: str, named: Mapping[str, str]) -> bytes:
    """Where in the file each digest lies, as JSON {digest: [dtype, shape, begin, end]}."""
    if suffix == ".gguf":
        from forensics.model.gguf import read_gguf  # import time: few packs are GGUF

        entries = read_gguf(path).entries
    else:
        entries = read_header(path).entries
    return json.dumps(
        {named[e.name]: [e.dtype, e.shape, e.begin, e.end] for e in entries if e.name in named}
    ).encode()


def recorded(raw: RawTensor) -> RawTensor:
    """A kept tensor, to be read from front to back.

    Its last bytes come only where all bytes are those of its name, the digest.

    Raises (from `read`):
        DamagedEvidence: they are others.
    """
    digest = digests.begun(raw.dtype, raw.shape)

    def read(start: int, stop: int) -> bytes | memoryview:
        nonlocal digest
        if start == 0:
            digest = digests.begun(raw.dtype, raw.shape)
        block = raw.read(start, stop)
        digest.update(block)
        if stop == raw.nbytes and digest.hexdigest() != raw.name:
            hint = "`forensics verify` says what else is; capture again."
            raise DamagedEvidence(
                "A tensor is not what was recorded.", where=f"tensor {raw.name[:12]}", hint=hint
            )
        return block

    return replace(raw, read=read)


def size(tensors: Mapping[str, RawTensor]) -> int:
    """Bytes of the file that `write` makes."""
    return 8 + len(_header(tensors)) + sum(raw.nbytes for raw in tensors.values())


def _header(tensors: Mapping[str, RawTensor]) -> bytes:
    header: dict[str, object] = {}
    foreign = {digest: [raw.dtype, raw.shape] for digest, raw in tensors.items() if raw.dtype not in BITS}
    if foreign:
        header["__metadata__"] = {FOREIGN: json.dumps(foreign)}
    at = 0
    for digest, raw in tensors.items():
        dtype, shape = ("U8", [raw.nbytes]) if digest in foreign else (raw.dtype, list(raw.shape))
        header[digest] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + raw.nbytes]}
        at += raw.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def write(target: Path, tensors: Mapping[str, RawTensor]) -> None:
    """A safetensors file, streamed; every tensor's bytes are checked against its digest on the way."""
    text = _header(tensors)
    if len(text) > MAX_HEADER:
        raise ValueError(f"{len(tensors)} tensors do not fit one pack")
    part = files.aside(target)
    try:
        with part.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for digest, raw in tensors.items():
                actual = digests.begun(raw.dtype, raw.shape)
                for start in range(0, raw.nbytes, _PART):
                    block = raw.read(start, min(start + _PART, raw.nbytes))
                    actual.update(block)
                    file.write(block)
                if actual.hexdigest() != digest:
                    raise UnreadableModel(
                        "A tensor changed while it was read.",
                        where=raw.name,
                        hint="Nothing may write to it; try again.",
                    )
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    files.sync(target.parent)
