"""Quantized weights by value: packed codes, scales and biases to float32, as mlx computes them.

Codes are a little-endian stream of bits along the last axis. affine: scale * code + bias a group; mxfp4,
nvfp4 and mxfp8: small floats under a shared scale a group.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.records import RawTensor
from forensics.tensors import decode

FORMATS = {"mxfp4": ("F4", "F8_E8M0"), "nvfp4": ("F4", "F8_E4M3"), "mxfp8": ("F8_E4M3", "F8_E8M0")}
"""Modes without biases: type of the codes, type of the scales (which mlx stores as U8)."""
_BITS = (2, 3, 4, 5, 6, 8)
_F4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=np.float32)


def dequantize(
    weight: RawTensor,
    scales: RawTensor,
    biases: RawTensor | None,
    *,
    bits: int,
    group_size: int,
    mode: str = "affine",
) -> NDArray[np.float32]:
    """The dense weight, shape (..., groups * group_size).

    Raises:
        ValueError: a mode or a number of bits that is not known, or parts that do not fit each other.
    """
    raw = dense(weight, scales, biases, bits=bits, group_size=group_size, mode=mode)
    return np.frombuffer(raw.read(0, raw.nbytes), dtype="<f4").reshape(raw.shape)


def dense(
    weight: RawTensor,
    scales: RawTensor,
    biases: RawTensor | None,
    *,
    bits: int,
    group_size: int,
    mode: str = "affine",
) -> RawTensor:
    """The dense weight as an F32 tensor that is computed row by row when it is read, never whole.

    Raises:
        ValueError: as `dequantize`.
    """
    groups = scales.shape[-1] if scales.shape else 0
    columns = groups * group_size
    rows = math.prod(weight.shape[:-1])
    if mode != "affine" and mode not in FORMATS:
        raise ValueError(f"unknown quantization mode {mode!r}")
    if bits not in _BITS or weight.dtype != "U32" or columns * bits != weight.shape[-1] * 32:
        raise ValueError(
            f"{bits} bits in groups of {group_size} do not fit {weight.dtype} {weight.shape} and scales"
            f" {scales.shape}"
        )
    if scales.shape[:-1] != weight.shape[:-1] or (
        mode == "affine" and (biases is None or biases.shape != scales.shape)
    ):
        raise ValueError(
            f"scales {scales.shape} and biases {biases and biases.shape} do not fit weight {weight.shape}"
        )

    def part(first: int, last: int) -> NDArray[np.float32]:
        codes = _codes(_rows(weight, rows, first, last), bits, columns)
        kind = scales.dtype if mode == "affine" else FORMATS[mode][1]
        factor = decode.singles(_rows(scales, rows, first, last), kind).reshape(-1, groups, 1)
        if mode != "affine" or biases is None:
            return (_small_floats(codes, mode).reshape(-1, groups, group_size) * factor).reshape(-1, columns)
        offset = decode.singles(_rows(biases, rows, first, last), biases.dtype).reshape(-1, groups, 1)
        return (codes.reshape(-1, groups, group_size) * factor + offset).reshape(-1, columns)

    shape = (*weight.shape[:-1], columns)
    return RawTensor(weight.name, "F32", shape, math.prod(shape) * 4, _reader(part, "<f4", columns * 4))


def codes(weight: RawTensor, bits: int) -> RawTensor:
    """The codes of a packed weight, each as U8, shape (..., codes a row).

    Unpacked row by row when it is read.

    Raises:
        ValueError: a number of bits that is not known, or that does not fill the words of a row.
    """
    words = weight.shape[-1] if weight.shape else 0
    if bits not in _BITS or weight.dtype != "U32" or words * 32 % (8 * bits):
        raise ValueError(f"{bits} bits do not fit {weight.dtype} {weight.shape}")
    columns, rows = words * 32 // bits, math.prod(weight.shape[:-1])
    shape = (*weight.shape[:-1], columns)

    def part(first: int, last: int) -> NDArray[np.uint8]:
        return _codes(_rows(weight, rows, first, last), bits, columns)

    return RawTensor(weight.name, "U8", shape, math.prod(shape), _reader(part, "u1", columns))


def _reader(
    part: Callable[[int, int], NDArray[Any]], dtype: str, width: int
) -> Callable[[int, int], memoryview]:
    """Reads bytes of a tensor whose rows, each `width` bytes, are computed by `part`."""

    def read(start: int, stop: int) -> memoryview:
        if stop <= start:
            return memoryview(b"")
        first, last = start // width, -(-stop // width)
        data = np.ascontiguousarray(part(first, last), dtype=dtype).data.cast("B")
        return data[start - first * width : stop - first * width]

    return read


def _rows(raw: RawTensor, rows: int, first: int, last: int) -> bytes | memoryview:
    width = raw.nbytes // rows
    return raw.read(first * width, last * width)


def _codes(packed: bytes | memoryview, bits: int, columns: int) -> NDArray[np.uint8]:
    """Codes of whole rows, shape (rows, columns)."""
    data = np.frombuffer(packed, dtype=np.uint8)
    if bits == 8:
        return data.reshape(-1, columns)
    if bits in (2, 4):
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        return ((data[:, None] >> shifts) & np.uint8((1 << bits) - 1)).reshape(-1, columns)
    # 3, 5 and 6 bits: eight codes fill `bits` bytes
    words = np.zeros((len(data) // bits, 8), dtype=np.uint8)
    words[:, :bits] = data.reshape(-1, bits)
    shifts64 = np.arange(0, 8 * bits, bits, dtype=np.uint64)
    return (
        ((words.view("<u8") >> shifts64) & np.uint64((1 << bits) - 1)).astype(np.uint8).reshape(-1, columns)
    )


def _small_floats(codes: NDArray[np.uint8], mode: str) -> NDArray[np.float32]:
    kind = FORMATS[mode][0]
    return _F4[codes] if kind == "F4" else decode.table(kind).astype(np.float32)[codes]
