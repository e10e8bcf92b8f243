"""What identifies a tensor, and a value that several tensors make up."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple


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


class Packing(NamedTuple):
    """How a quantized weight is packed."""

    mode: str
    bits: int
    group_size: int


def packing_of(how: object) -> Packing | None:
    """The packing that a configuration or a layer states; None where it states none."""
    if not isinstance(how, Mapping):
        return None
    mode, bits, group = how.get("mode", "affine"), how.get("bits"), how.get("group_size")
    if not isinstance(bits, int) or not isinstance(group, int) or not isinstance(mode, str):
        return None
    return Packing(mode, bits, group)


def packed_value(name: str, how: Packing | None, digests: Mapping[str, str | None]) -> str | None:
    """The value digest of the quantized weight `name`; None where a part of it could not be read.

    Args:
        digests: of the weight, its scales and its biases, by name.
    """
    prefix = name.removesuffix("weight")
    weight, scales, biases = (digests.get(prefix + leaf) for leaf in ("weight", "scales", "biases"))
    return value_digest(*how, weight, scales, biases) if how and weight and scales else None


def packing(how: Packing | None) -> str | None:
    """The column `placements.packing`: mode:bits:group_size; None where a tensor is not packed."""
    return None if how is None else f"{how.mode}:{how.bits}:{how.group_size}"


def unpacked(text: object) -> Packing | None:
    """The packing that the column states; None of what is none."""
    mode, *numbers = str(text or "").split(":")
    if len(numbers) != 2 or not all(n.isdecimal() and len(n) < 6 for n in numbers):
        return None
    return Packing(mode, int(numbers[0]), int(numbers[1]))
