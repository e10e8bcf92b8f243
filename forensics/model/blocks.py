"""The values in GGUF's block types.

A block holds 32 or 256 codes of few bits, one or two float16 factors, and in the K types a small scale a
group of codes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.model.gguf import BLOCKS

Blocks = NDArray[np.uint8]
Values = NDArray[np.float32]


def decode(dtype: str, data: bytes | memoryview) -> Values | None:
    """The float32 values of whole blocks, in order; None where the block type cannot be decoded.

    Types that are not decoded here are decoded by the `gguf` package, where it is installed.
    """
    blocks = np.frombuffer(data, np.uint8).reshape(-1, BLOCKS[dtype][1])
    if dtype not in _DECODERS:
        return _by_the_package(dtype, blocks)
    with np.errstate(all="ignore"):
        return np.ascontiguousarray(_DECODERS[dtype](blocks), dtype=np.float32).reshape(-1)


def _by_the_package(dtype: str, blocks: Blocks) -> Values | None:
    """What the format's own library makes of them; None where it is not installed, or does not know them."""
    try:
        from gguf import GGMLQuantizationType  # import time, and an extra
        from gguf.quants import dequantize  # import time, and an extra

        with np.errstate(all="ignore"):
            values = dequantize(blocks, GGMLQuantizationType[dtype])
    except (ImportError, KeyError, NotImplementedError):
        return None
    return np.ascontiguousarray(values, dtype=np.float32).reshape(-1)


def _half(blocks: Blocks, at: int) -> Values:
    """The float16 at byte `at` of each block, as a column."""
    return np.ascontiguousarray(blocks[:, at : at + 2]).view("<f2").astype(np.float32)


def _nibbles(codes: Blocks) -> Values:
    """Low nibbles, then high nibbles."""
    return np.concatenate([codes & 15, codes >> 4], axis=1).astype(np.float32)


def _fifth(blocks: Blocks, at: int) -> Values:
    """16 where the element's bit is set, 32 bits from byte `at`."""
    return np.unpackbits(blocks[:, at : at + 4], axis=1, bitorder="little").astype(np.float32) * 16


def _q4_0(b: Blocks) -> Any:
    return _half(b, 0) * (_nibbles(b[:, 2:]) - 8)


def _q4_1(b: Blocks) -> Any:
    return _half(b, 0) * _nibbles(b[:, 4:]) + _half(b, 2)


def _q5_0(b: Blocks) -> Any:
    return _half(b, 0) * (_nibbles(b[:, 6:]) + _fifth(b, 2) - 16)


def _q5_1(b: Blocks) -> Any:
    return _half(b, 0) * (_nibbles(b[:, 8:]) + _fifth(b, 4)) + _half(b, 2)


def _q8_0(b: Blocks) -> Any:
    return _half(b, 0) * b[:, 2:].view("i1")


def _q2_k(b: Blocks) -> Any:
    scales, codes = b[:, :16, None], _fields(b[:, 16:80], 2)
    return (
        (_half(b, 80) * (scales[..., 0] & 15))[..., None] * codes
        - (_half(b, 82) * (scales[..., 0] >> 4))[..., None]
    ).reshape(len(b), -1)


def _q3_k(b: Blocks) -> Any:
    high = (
        np.unpackbits(b[:, :32, None], axis=2, bitorder="little").transpose(0, 2, 1).reshape(len(b), 16, 16)
    )
    packed = b[:, 96:108].astype(np.int32)
    low = np.concatenate([packed[:, :8] & 15, packed[:, :8] >> 4], axis=1)
    upper = np.concatenate([packed[:, 8:] >> shift & 3 for shift in (0, 2, 4, 6)], axis=1)
    scales = _half(b, 108) * ((low | upper << 4) - 32)
    return (scales[..., None] * (_fields(b[:, 32:96], 2) - 4 * (1 - high.astype(np.float32)))).reshape(
        len(b), -1
    )


def _fields(codes: Blocks, bits: int) -> Values:
    """256 codes of two bits in groups of 16: of each 32 bytes the lowest fields come first."""
    parts = codes.reshape(len(codes), -1, 1, 32)
    shifts = np.arange(0, 8, bits, dtype=np.uint8).reshape(1, 1, -1, 1)
    return (parts >> shifts & ((1 << bits) - 1)).reshape(len(codes), 16, 16).astype(np.float32)


def _scale_min(b: Blocks) -> tuple[Values, Values]:
    """The eight scales and eight minima of Q4_K and Q5_K, six bits each, packed into bytes 4 to 16."""
    first, second, third = b[:, 4:8], b[:, 8:12], b[:, 12:16]
    scales = np.concatenate([first & 63, third & 15 | first >> 6 << 4], axis=1)
    minima = np.concatenate([second & 63, third >> 4 | second >> 6 << 4], axis=1)
    return _half(b, 0) * scales, _half(b, 2) * minima


def _q4_k(b: Blocks) -> Any:
    scales, minima = _scale_min(b)
    codes = _pairs(b[:, 16:])
    return (scales[..., None] * codes - minima[..., None]).reshape(len(b), -1)


def _q5_k(b: Blocks) -> Any:
    scales, minima = _scale_min(b)
    fifth = np.unpackbits(b[:, 16:48, None], axis=2, bitorder="little").transpose(0, 2, 1)
    codes = _pairs(b[:, 48:]) + 16 * fifth.astype(np.float32)
    return (scales[..., None] * codes - minima[..., None]).reshape(len(b), -1)


def _pairs(codes: Blocks) -> Values:
    """256 four-bit codes in eight groups of 32: of each 32 bytes the low nibbles, then the high ones."""
    parts = codes.reshape(len(codes), 4, 1, 32)
    return np.concatenate([parts & 15, parts >> 4], axis=2).reshape(len(codes), 8, 32).astype(np.float32)


def _q6_k(b: Blocks) -> Any:
    low = b[:, :128].reshape(len(b), 2, 1, 64)
    low = np.concatenate([low & 15, low >> 4], axis=2).reshape(len(b), 2, 4, 32)
    shifts = np.array([0, 2, 4, 6], dtype=np.uint8).reshape(1, 1, 4, 1)
    high = b[:, 128:192].reshape(len(b), 2, 1, 32) >> shifts & 3
    codes = (low | high << 4).reshape(len(b), 16, 16).astype(np.float32) - 32
    scales = _half(b, 208) * b[:, 192:208].view("i1")
    return (scales[..., None] * codes).reshape(len(b), -1)


def _q8_k(b: Blocks) -> Any:
    return np.ascontiguousarray(b[:, :4]).view("<f4") * b[:, 4:260].view("i1")


def _iq4_nl(b: Blocks) -> Any:
    levels = np.array(
        [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], dtype=np.float32
    )
    return _half(b, 0) * levels[np.concatenate([b[:, 2:] & 15, b[:, 2:] >> 4], axis=1)]


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "Q4_0": _q4_0, "Q4_1": _q4_1, "Q5_0": _q5_0, "Q5_1": _q5_1, "Q8_0": _q8_0, "Q2_K": _q2_k, "Q3_K": _q3_k,
    "Q4_K": _q4_k, "Q5_K": _q5_k, "Q6_K": _q6_k, "Q8_K": _q8_k, "IQ4_NL": _iq4_nl,
}  # fmt: skip
