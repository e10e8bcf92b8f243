"""Writes GGUF files, for tests of the reader."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from forensics.model.gguf import TYPES

U32, STRING = 4, 8
_NUMBERS = {name: number for number, (name, _, _) in TYPES.items()}


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def array(kind: int, items: bytes, count: int) -> bytes:
    return struct.pack("<IQ", kind, count) + items


def number(key: str, value: int) -> bytes:
    return pair(key, U32, struct.pack("<I", value))


def word(key: str, value: str) -> bytes:
    return pair(key, STRING, text(value))


def write(
    path: Path,
    tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]],
    pairs: Sequence[bytes] = (),
    *,
    overlap: bool = False,
) -> Path:
    """A file of version 3; `tensors` maps a name to (type name, row-major shape, bytes).

    `overlap`: all begin at 0.
    """
    infos, data = b"", b""
    for name, (dtype, shape, content) in tensors.items():
        dims = struct.pack(f"<{len(shape)}Q", *reversed(shape))
        infos += (
            text(name)
            + struct.pack("<I", len(shape))
            + dims
            + struct.pack("<IQ", _NUMBERS[dtype], 0 if overlap else len(data))
        )
        data += content + bytes(-len(content) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs) + infos
    padding = bytes(-len(head) % 32)
    whole = head + padding + data
    path.write_bytes(
        whole[: len(whole) - (-sum(len(c) for *_, c in tensors.values()) % 32 if len(tensors) == 1 else 0)]
    )
    return path
