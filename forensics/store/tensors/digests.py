"""What identifies a value that several tensors make up."""

from __future__ import annotations

import hashlib


def value_digest(mode: str, bits: int, group_size: int, weight_digest: str, scales_digest: str, biases_digest: str | None) -> str:
    """Digest of a quantized weight as a value: sha256 over `mode:bits:group_size`, a zero byte, and the digests of its parts."""
    return hashlib.sha256(f"{mode}:{bits}:{group_size}\0{weight_digest}{scales_digest}{biases_digest or ''}".encode()).hexdigest()
