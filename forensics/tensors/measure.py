"""Bytes of a tensor to digest and statistics in one pass, over blocks that fit the cache.

With it all else that is measured.

Sums are float64 and safe from overflow, and no tensor is held whole, but by `values` and `dequantize`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from forensics.records import RawTensor, TensorStats
from forensics.tensors import decode
from forensics.tensors import digest as digests
from forensics.tensors.decode import BLOCK, blocks
from forensics.tensors.deltas import difference
from forensics.tensors.kernels import loops
from forensics.tensors.moments import Histogram, Moments
from forensics.tensors.quantized import codes, dense, dequantize

__all__ = ["BLOCK", "blocks", "codes", "dense", "dequantize", "difference", "measure", "values"]

SMALL = 8192
"""Elements up to which a direct computation beats filling a table of 65,536 bins."""


def measure(raw: RawTensor) -> TensorStats:
    """Digest and statistics of one tensor, each byte read once.

    The digest is the sha256 of what `digests.begun` says, then the bytes. Statistics are over the finite
    elements; `mean`, `std` (of the population), `min`, `max` and `l2` are None where there are none, and
    everything is None where the type cannot be decoded.

    Raises:
        UnreadableModel: the file ended before the tensor did.
    """
    size = math.prod(raw.shape)
    digest = digests.begun(raw.dtype, raw.shape)
    gather: Histogram | Moments | None = None
    if raw.dtype in decode.WIDTH and raw.nbytes == size * decode.WIDTH[raw.dtype]:
        compiled = loops(raw.dtype, raw.nbytes)
        counted = raw.dtype in decode.PATTERN and size > SMALL and not compiled
        gather = Histogram(raw.dtype) if counted else Moments(raw.dtype, compiled)
    for block in blocks(raw):
        digest.update(block)
        if gather is not None:
            gather.add(block)
    if gather is None:
        return TensorStats(digest.hexdigest(), raw.dtype, raw.shape, size, raw.nbytes, *[None] * 8)
    m = gather.moments()
    some = m.count > 0
    return TensorStats(
        digest=digest.hexdigest(),
        dtype=raw.dtype,
        shape=raw.shape,
        size=size,
        nbytes=raw.nbytes,
        mean=m.mean if some else None,
        std=m.deviation if some else None,
        min=m.low if some else None,
        max=m.high if some else None,
        l2=m.norm if some else None,
        zeros=m.zeros,
        nans=m.nans,
        infs=m.infs,
    )


def values(raw: RawTensor) -> NDArray[np.float32] | None:
    """The whole tensor as float32 in its shape; None where the type cannot be decoded."""
    if raw.dtype not in decode.WIDTH:
        return None
    return decode.singles(raw.read(0, raw.nbytes), raw.dtype).reshape(raw.shape)
