"""The header of a safetensors file: checked before anything is believed, then read by position, never mapped.

Format: 8 bytes little-endian length N, N bytes JSON {name: {"dtype", "shape", "data_offsets": [begin, end]}},
then the data.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from forensics.errors import UnreadableModel
from forensics.model.ranges import Stat, ranged
from forensics.model.regular import regular
from forensics.records import RawTensor

BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
}
MAX_HEADER = 8 << 20
MAX_TENSORS = 200_000
_HINT = "Copy or download the file again; it may have been cut off while it was written."


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor's place in the file: bytes [begin, end) from the start of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    """A checked header; `metadata` is the file's own `__metadata__`."""

    path: Path
    entries: tuple[Entry, ...]
    metadata: Mapping[str, str]
    state: Stat

    def tensors(self) -> Iterator[RawTensor]:
        """The tensors, in the file's order, read when asked for."""
        for e in self.entries:
            yield RawTensor(e.name, e.dtype, e.shape, e.end - e.begin, ranged(self.path, e.begin, self.state))


def read_header(path: Path) -> Header:
    """The header of a safetensors file.

    Raises:
        UnreadableModel: not there, cut off, above 8 MB or 200,000 tensors, or entries that overlap, leave
        holes, or do not fit.
    """
    try:
        state = regular(path)
        size = state.st_size
        with path.open("rb") as file:
            first = file.read(8)
            length = struct.unpack("<Q", first)[0] if len(first) == 8 else 0
            if not 2 <= length <= min(MAX_HEADER, size - 8):
                why = (
                    "its header is above 8 MB"
                    if MAX_HEADER < length <= size - 8
                    else "it is no safetensors file, or was cut off in its header"
                )
                raise UnreadableModel(f"The file cannot be read: {why}.", where=str(path), hint=_HINT)
            text = file.read(length)
    except OSError as error:
        raise UnreadableModel(
            f"The file cannot be read: {error.strerror}.",
            where=str(path),
            hint="Check the path and its permissions.",
        ) from error
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableModel("The file's header is no JSON.", where=str(path), hint=_HINT) from error
    return _checked(path, document, 8 + length, state)


def _checked(path: Path, document: object, data: int, state: Stat) -> Header:
    def refuse(why: str) -> UnreadableModel:
        return UnreadableModel(f"The file is damaged: {why}.", where=str(path), hint=_HINT)

    if not isinstance(document, dict):
        raise refuse("its header is no object")
    metadata = document.pop("__metadata__", None) or {}
    if len(document) > MAX_TENSORS:
        raise refuse(f"{len(document):,} tensors")
    entries = sorted(
        (_entry(name, value, data, refuse) for name, value in document.items()),
        key=lambda e: (e.begin, e.end),
    )
    at = data
    for e in entries:
        if e.begin != at:
            raise refuse(
                f"tensor {e.name!r} {'overlaps another' if e.begin < at else 'leaves a hole before it'}"
            )
        at = e.end
    if at != (size := state.st_size):
        raise refuse(f"{abs(size - at):,} bytes {'are missing at' if at > size else 'too many at'} its end")
    texts = {str(k): str(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {}
    return Header(path, tuple(entries), texts, state)


def _entry(name: str, value: object, data: int, refuse: Callable[[str], UnreadableModel]) -> Entry:
    if not isinstance(value, dict):
        raise refuse(f"tensor {name!r} has no description")
    dtype, shape, offsets = value.get("dtype"), _whole(value.get("shape")), _whole(value.get("data_offsets"))
    if (
        not isinstance(dtype, str)
        or dtype not in BITS
        or shape is None
        or offsets is None
        or len(offsets) != 2
    ):
        described = f"shape {value.get('shape')!r:.60}, offsets {value.get('data_offsets')!r:.60}"
        raise refuse(f"tensor {name!r} has dtype {str(dtype)[:20]!r}, {described}")
    bits = math.prod(shape) * BITS[dtype]
    if bits % 8 or bits // 8 != offsets[1] - offsets[0]:
        raise refuse(
            f"tensor {name!r} is {offsets[1] - offsets[0]:,} bytes, and its shape needs {bits // 8:,}"
        )
    return Entry(name, dtype, shape, data + offsets[0], data + offsets[1])


def _whole(value: object) -> tuple[int, ...] | None:
    """A list of numbers from 0 to 2^62, as a tuple; None for anything else."""
    if not isinstance(value, list):
        return None
    for n in value:
        if type(n) is not int or not 0 <= n < 1 << 62:
            return None
    return tuple(value)
