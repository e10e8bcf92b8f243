"""How far one tensor is from another, block by block, without ever holding one whole."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from forensics.records import Delta, RawTensor
from forensics.tensors import decode
from forensics.tensors.decode import BLOCK, PART, blocks
from forensics.tensors.kernels import LANES, Loops, loops
from forensics.tensors.moments import Floats, scaling, square


def difference(a: RawTensor, b: RawTensor, digest_a: str, digest_b: str) -> Delta:
    """How far `b` is from `a`, element by element; both of one shape.

    Elements with equal bits differ by 0, NaN and infinity included. Elsewhere NaN makes `max_abs`, `l2`,
    `relative` and `cosine` NaN, and an infinity makes them infinite (`cosine` NaN). Norms for `relative` and
    `cosine` are over finite elements; both are None where a norm is 0. Where the types differ,
    `changed_fraction` counts values instead of bits. All numbers are None where a type cannot be decoded.

    Raises:
        ValueError: the shapes differ.
        UnreadableModel: a file ended before its tensor did.
    """
    if a.shape != b.shape:
        raise ValueError(f"shapes differ: {a.shape} and {b.shape}")
    size = math.prod(a.shape)
    if a.dtype not in decode.WIDTH or b.dtype not in decode.WIDTH:
        return Delta(digest_a, digest_b, None, None, None, None, None)
    if size == 0:
        return Delta(digest_a, digest_b, 0.0, 0.0, None, None, 0.0)
    compiled = loops(a.dtype, a.nbytes) if a.dtype == b.dtype else None
    total = _Pair(compiled)
    step = BLOCK // decode.WIDTH[a.dtype] if compiled else PART
    pairs = zip(blocks(a, step * decode.WIDTH[a.dtype]), blocks(b, step * decode.WIDTH[b.dtype]), strict=True)
    for x, y in pairs:
        total.add(x, a.dtype, y, b.dtype)
    return Delta(
        digest_a,
        digest_b,
        total.largest,
        total.distance,
        total.relative(),
        total.cosine(),
        total.changed / size,
    )


class _Pair:
    """Norms of a, of b and of b - a, merged block by block."""

    def __init__(self, compiled: Loops | None) -> None:
        self.a = self.b = self.dot = self.distance = self.largest = 0.0
        self.changed = 0
        self._compiled = compiled

    def add(self, x: bytes | memoryview, type_x: str, y: bytes | memoryview, type_y: str) -> None:
        if self._compiled is not None:
            width = decode.WIDTH[type_x]
            many = len(x) // width // LANES * LANES
            if many and self._quick(x, y, many, self._compiled):
                x, y = memoryview(x)[many * width :], memoryview(y)[many * width :]
        if len(x):
            self._plain(x, type_x, y, type_y)

    def _plain(self, x: bytes | memoryview, type_x: str, y: bytes | memoryview, type_y: str) -> None:
        p, q = decode.numbers(x, type_x), decode.numbers(y, type_y)
        if type_x == type_y:
            width = decode.WIDTH[type_x]
            moved = np.frombuffer(x, dtype=f"u{width}") != np.frombuffer(y, dtype=f"u{width}")
        else:
            moved = (p != q) & ~(np.isnan(p) & np.isnan(q))
        count = int(np.count_nonzero(moved))
        self.changed += count
        p_size, q_size = _largest(p), _largest(q)
        if not (math.isfinite(p_size) and math.isfinite(q_size)):
            self._nonfinite(p, q, moved)
            p, q = np.where(np.isfinite(p), p, 0.0), np.where(np.isfinite(q), q, 0.0)
            p_size, q_size = _largest(p), _largest(q)
        self.a = math.hypot(self.a, _norm(p, p_size))
        self.b = math.hypot(self.b, _norm(q, q_size))
        self.dot += _product(p, p_size, q, q_size)
        if count:
            scale = scaling(max(p_size, q_size))
            d = q - p if scale == 1.0 else q * scale - p * scale
            largest = _largest(d)
            self._apart(largest / scale, _norm(d, largest) / scale)

    def _quick(self, x: bytes | memoryview, y: bytes | memoryview, n: int, compiled: Loops) -> bool:
        """As `add`, by compiled loops; False where a number is not finite."""
        squares, largest, changed, aa, bb, ab = compiled.differences(x, y, n)
        if not math.isfinite(squares):
            return False
        self.a, self.b, self.dot = (
            math.hypot(self.a, math.sqrt(aa)),
            math.hypot(self.b, math.sqrt(bb)),
            self.dot + ab,
        )
        self.changed += int(changed)
        self._apart(largest, math.sqrt(squares))
        return True

    def _nonfinite(self, p: Floats, q: Floats, moved: NDArray[np.bool_]) -> None:
        """Where one side is NaN or infinite and the other is not the same."""
        with np.errstate(invalid="ignore"):
            odd = (q - p)[moved & ~(np.isfinite(p) & np.isfinite(q))]
        odd = odd[~np.isfinite(odd)]
        if odd.size:
            self._apart(
                math.nan if np.isnan(odd).any() else math.inf, math.nan if np.isnan(odd).any() else math.inf
            )

    def _apart(self, largest: float, norm: float) -> None:
        if math.isnan(largest) or math.isnan(self.largest):
            self.largest = self.distance = math.nan
        else:
            self.largest, self.distance = max(self.largest, largest), math.hypot(self.distance, norm)

    def relative(self) -> float | None:
        return None if self.a == 0.0 else self.distance / self.a

    def cosine(self) -> float | None:
        """The cosine from the three norms, exact also where a and b are nearly equal.

        1 - (d - (a - b)) (d + (a - b)) / 2ab keeps the digits of 1 - cosine.
        """
        if self.a == 0.0 or self.b == 0.0:
            return None
        if not math.isfinite(self.distance):
            return math.nan
        gap = self.a - self.b
        if self.distance < 0.5 * self.a or not math.isfinite(self.dot):
            cosine = 1.0 - (self.distance - gap) / self.a * ((self.distance + gap) / self.b) / 2
        else:
            cosine = self.dot / self.a / self.b
        return min(1.0, max(-1.0, cosine))


def _norm(x: Floats, largest: float) -> float:
    """Square root of the sum of squares; `largest` is the largest magnitude in `x`."""
    scale = scaling(largest)
    return math.sqrt(square(x if scale == 1.0 else x * scale)) / scale


def _product(x: Floats, x_largest: float, y: Floats, y_largest: float) -> float:
    p, q = scaling(x_largest), scaling(y_largest)
    return float(np.einsum("i,i->", x if p == 1.0 else x * p, y if q == 1.0 else y * q)) / p / q


def _largest(x: Floats) -> float:
    """Largest magnitude; NaN where there is one."""
    return max(abs(float(x.min())), abs(float(x.max())))
