"""Bytes of a tensor to numbers, by dtype name as safetensors writes it.

An 8- or 16-bit type has at most 65,536 distinct values, so a table of them decodes it, and a histogram of its
bit patterns holds every statistic. NumPy has neither bfloat16 nor the 8-bit floats: their tables are made
here.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from forensics.errors import UnreadableModel
from forensics.records import RawTensor

NATIVE = {
    "U8": "u1",
    "I8": "i1",
    "I16": "<i2",
    "U16": "<u2",
    "F16": "<f2",
    "I32": "<i4",
    "U32": "<u4",
    "F32": "<f4",
    "I64": "<i8",
    "U64": "<u8",
    "F64": "<f8",
}
"""Types that NumPy reads as they lie in the file."""

BLOCK = 3 << 18
"""Bytes read at once: 1 MB would overflow the 16-bit counters of compiled loops, and less costs more calls.
"""

PART = 1 << 16
"""Elements that NumPy looks at at once: as float64 they stay in a cache."""

PATTERN = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
    "F16": 2,
    "BF16": 2,
    "I16": 2,
    "U16": 2,
}
"""Types with a table of all their values: bytes an element."""

WIDTH = {**PATTERN, "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8}
"""Every type that can be decoded: bytes an element."""


# The C library hands freed blocks back to the kernel, and each new one costs page faults: four times the work
# in `difference`. One large piece, freed once, raises its limits above all that is made of a block.
_piece = np.empty(16 << 20, dtype=np.uint8)
del _piece


@cache
def table(dtype: str) -> NDArray[np.float64]:
    """The value of each bit pattern of a type in `PATTERN`: shape (256,) or (65536,)."""
    if dtype == "BOOL":
        values = np.minimum(np.arange(256), 1).astype(np.float64)
    elif dtype == "BF16":
        with np.errstate(invalid="ignore"):  # signalling NaN patterns
            values = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32).astype(np.float64)
    elif dtype.startswith("F8"):
        values = _float8(dtype)
    else:
        codes = np.arange(1 << 8 * PATTERN[dtype]).astype(f"<u{PATTERN[dtype]}")
        values = codes.view(NATIVE[dtype]).astype(np.float64)
    values.flags.writeable = False
    return values


def _float8(dtype: str) -> NDArray[np.float64]:
    """E4M3 has no infinity and one NaN a sign, E5M2 is a shortened half, E8M0 is a bare power of two."""
    codes = np.arange(256)
    if dtype == "F8_E8M0":
        return np.where(codes == 255, np.nan, np.exp2(codes - 127.0))
    if dtype == "F8_E5M2":
        return (codes.astype(np.uint16) << 8).view(np.float16).astype(np.float64)
    exponent, fraction = (codes >> 3) & 15, codes & 7
    size = np.where(exponent == 0, fraction * 2.0**-9, (8 + fraction) * np.exp2(exponent - 10.0))
    return np.where(codes & 127 == 127, np.nan, np.where(codes & 128, -size, size))


def patterns(block: bytes | memoryview, dtype: str) -> NDArray[np.uint16] | NDArray[np.uint8]:
    """The bit patterns of a type in `PATTERN`."""
    return np.frombuffer(block, dtype="u1" if PATTERN[dtype] == 1 else "<u2")


def numbers(block: bytes | memoryview, dtype: str) -> NDArray[np.float64]:
    """The elements of a type in `WIDTH` as float64, a new array: exact but for 64-bit integers above 2^53."""
    if dtype in PATTERN and dtype != "BF16":
        return table(dtype)[patterns(block, dtype)]
    with np.errstate(invalid="ignore"):  # signalling NaN patterns
        return (
            singles(block, dtype) if dtype == "BF16" else np.frombuffer(block, dtype=NATIVE[dtype])
        ).astype(np.float64)


def singles(block: bytes | memoryview, dtype: str) -> NDArray[np.float32]:
    """As `numbers`, in float32."""
    if dtype == "BF16":
        bits = np.frombuffer(block, dtype="<u2").astype(np.uint32)
        bits <<= 16
        return bits.view(np.float32)
    if dtype in NATIVE:
        return np.frombuffer(block, dtype=NATIVE[dtype]).astype(np.float32, copy=False)
    return table(dtype)[patterns(block, dtype)].astype(np.float32)


def parts(block: bytes | memoryview, dtype: str) -> Iterator[memoryview]:
    """A block in pieces of `PART` elements."""
    view, size = memoryview(block), PART * WIDTH[dtype]
    return (view[start : start + size] for start in range(0, len(view), size))


def blocks(raw: RawTensor, size: int = BLOCK) -> Iterator[bytes | memoryview]:
    """The tensor's bytes in order, `size` at a time.

    Raises:
        UnreadableModel: a read came back short, which would make a wrong digest.
    """
    for start in range(0, raw.nbytes, size):
        stop = min(start + size, raw.nbytes)
        block = raw.read(start, stop)
        if len(block) != stop - start:
            raise UnreadableModel(
                "The file ended before the tensor did.",
                where=raw.name,
                hint="Nothing else may write to it; try again.",
            )
        yield block
