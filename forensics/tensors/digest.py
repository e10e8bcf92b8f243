"""What identifies a tensor, and a value that several tensors make up."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def begun(dtype: str, shape: Sequence[int]) -> hashlib._Hash:
    """The digest of a tensor before its first byte: sha256 over dtype name, zero byte, shape as decimals joined by `x`, zero byte."""
    return hashlib.sha256(f"{dtype}\0{'x'.join(map(str, shape))}\0".encode())


def value_digest(
    mode: str, bits: int, group_size: int, weight_digest: str, scales_digest: str, biases_digest: str | None
) -> str:
    """Digest of a quantized weight as a value: sha256 over `mode:bits:group_size`, a zero byte, and the digests of its parts."""
    return hashlib.sha256(
        f"{mode}:{bits}:{group_size}\0{weight_digest}{scales_digest}{biases_digest or ''}".encode()
    ).hexdigest()
