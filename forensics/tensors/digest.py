"""What identifies a tensor, and a value that several tensors make up."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any


def begun(dtype: str, shape: Sequence[int]) -> hashlib._Hash:
    """The digest of a tensor before its first byte.

    sha256 over dtype name, zero byte, shape as decimals joined by `x`, zero byte.
    """
    return hashlib.sha256(f"{dtype}\0{'x'.join(map(str, shape))}\0".encode())


def value_digest(
    mode: str, bits: int, group_size: int, weight_digest: str, scales_digest: str, biases_digest: str | None
) -> str:
    """Digest of a quantized weight as a value.

    sha256 over `mode:bits:group_size`, a zero byte, and the digests of its parts.
    """
    return hashlib.sha256(
        f"{mode}:{bits}:{group_size}\0{weight_digest}{scales_digest}{biases_digest or ''}".encode()
    ).hexdigest()


def packed_value(name: str, how: Mapping[str, Any], digests: Mapping[str, str | None]) -> str | None:
    """The value digest of the quantized weight `name`; None where a part of it could not be read.

    Args:
        how: mode, bits and group_size.
        digests: of the weight, its scales and its biases, by name.
    """
    prefix = name.removesuffix("weight")
    weight, scales, biases = (digests.get(prefix + leaf) for leaf in ("weight", "scales", "biases"))
    if not weight or not scales:
        return None
    return value_digest(str(how["mode"]), int(how["bits"]), int(how["group_size"]), weight, scales, biases)


def packing(how: Mapping[str, Any] | None) -> str | None:
    """The column `placements.packing`: mode:bits:group_size; None where a tensor is not packed."""
    return None if how is None else f"{how['mode']}:{how['bits']}:{how['group_size']}"


def unpacked(text: object) -> tuple[str, int, int] | None:
    """(mode, bits, group size) of that column; None of what is none."""
    mode, *numbers = str(text or "").split(":")
    if len(numbers) != 2 or not all(n.isdecimal() and len(n) < 6 for n in numbers):
        return None
    return mode, int(numbers[0]), int(numbers[1])
