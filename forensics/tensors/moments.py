"""Statistics of a tensor from its blocks: merged moments, or a histogram.

Moments are merged so that no sum of squares of the whole is ever formed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.tensors import decode
from forensics.tensors.kernels import LANES, Loops

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sums:
    """Moments of `count` finite elements.

    `deviation` is the population's, `norm` the square root of the sum of squares.
    """

    count: int = 0
    mean: float = 0.0
    deviation: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    norm: float = 0.0
    zeros: int = 0
    nans: int = 0
    infs: int = 0

    def merged(self, other: Sums) -> Sums:
        n = self.count + other.count
        p, q = (self.count / n, other.count / n) if n else (0.0, 0.0)
        scale = math.sqrt(p * q)
        return Sums(
            n,
            self.mean * p + other.mean * q,
            math.hypot(
                self.deviation * math.sqrt(p),
                other.deviation * math.sqrt(q),
                self.mean * scale - other.mean * scale,
            ),
            min(self.low, other.low),
            max(self.high, other.high),
            math.hypot(self.norm, other.norm),
            self.zeros + other.zeros,
            self.nans + other.nans,
            self.infs + other.infs,
        )


class Moments:
    """Block after block as float64."""

    def __init__(self, dtype: str, compiled: Loops | None) -> None:
        self._dtype, self._sums = dtype, Sums()
        self._compiled = compiled

    def add(self, block: bytes | memoryview) -> None:
        if self._compiled is not None:
            width = decode.WIDTH[self._dtype]
            many = len(block) // width // LANES * LANES
            if many and self._quick(block, many, self._compiled):
                block = memoryview(block)[many * width :]
        for part in decode.parts(block, self._dtype):
            self._sums = self._sums.merged(sums_of(decode.numbers(part, self._dtype)))

    def _quick(self, block: bytes | memoryview, n: int, compiled: Loops) -> bool:
        """As `add`, by compiled loops; False where a number is not finite.

        Squares of 32-bit numbers stay within float64.
        """
        total, squares, low, high, zeros = compiled.moments(block, n)
        if not math.isfinite(squares):
            return False
        mean = min(max(total / n, low), high)
        spread = squares - n * mean * mean
        if spread < 0.5 * squares:  # what was subtracted took digits with it: look again, around the mean
            spread = compiled.spread(block, n, mean)
        self._sums = self._sums.merged(
            Sums(n, mean, math.sqrt(spread / n), low, high, math.sqrt(squares), int(zeros))
        )
        return True

    def moments(self) -> Sums:
        return self._sums


class Histogram:
    """How often each bit pattern stands in the tensor: every statistic follows, exactly."""

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        self._bins = np.zeros(1 << 8 * decode.PATTERN[dtype], dtype=np.int64)

    def add(self, block: bytes | memoryview) -> None:
        for part in decode.parts(block, self._dtype):
            self._bins += np.bincount(decode.patterns(part, self._dtype), minlength=len(self._bins))

    def moments(self) -> Sums:
        used = np.flatnonzero(self._bins)
        counts, values = self._bins[used], decode.table(self._dtype)[used]
        finite = np.isfinite(values)
        nans, infs = int(counts[np.isnan(values)].sum()), int(counts[np.isinf(values)].sum())
        counts, values = counts[finite], values[finite]
        n = int(counts.sum())
        if n == 0:
            return Sums(nans=nans, infs=infs)
        weights = counts.astype(np.float64)
        mean = float((weights * values).sum()) / n
        return Sums(
            n,
            mean,
            math.sqrt(float((weights * (values - mean) ** 2).sum()) / n),
            float(values.min()),
            float(values.max()),
            math.sqrt(float((weights * values**2).sum())),
            int(counts[values == 0.0].sum()),
            nans,
            infs,
        )


def sums_of(x: Floats) -> Sums:
    """Moments of one block, which is overwritten."""
    if x.size == 0:
        return Sums()
    low, high = float(x.min()), float(x.max())
    nans = infs = 0
    if not (math.isfinite(low) and math.isfinite(high)):  # min and max hand NaN on, so one look finds both
        nans, infs = int(np.isnan(x).sum()), int(np.isinf(x).sum())
        x = x[np.isfinite(x)]
        if x.size == 0:
            return Sums(nans=nans, infs=infs)
        low, high = float(x.min()), float(x.max())
    n = x.size
    zeros = n - int(np.count_nonzero(x))
    scale = scaling(max(abs(low), abs(high)))
    if scale != 1.0:
        x *= scale
    mean = min(max(float(x.sum()) / n, low * scale), high * scale)
    norm = math.sqrt(square(x))
    x -= mean
    return Sums(n, mean / scale, math.sqrt(square(x) / n) / scale, low, high, norm / scale, zeros, nans, infs)


def square(x: Floats) -> float:
    """Sum of squares; einsum, since BLAS would start threads of its own for one short product."""
    return float(np.einsum("i,i->", x, x))


def scaling(size: float) -> float:
    """A power of two that brings `size` near 1 where its square would leave the range of float64."""
    return (
        1.0
        if size == 0.0 or 1e-140 < size < 1e140
        else math.ldexp(1.0, -max(-1000, min(1000, math.frexp(size)[1])))
    )
