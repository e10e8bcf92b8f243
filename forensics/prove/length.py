"""How many updates of a long run a repeat needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

LONG = 600.0
"""Seconds of all repeats together above which they end early, where nothing is said."""
_FALL = 0.9  # share of the recorded change of the loss after which most of what it teaches is taught
_WINDOW = 5  # losses whose median stands for one
_LEAST = 4  # updates


def enough(losses: Sequence[float]) -> int | None:
    """The updates after which the recorded loss had made nine tenths of its way.

    Only a beginning: whether the harm is there after so many is seen in the repeat as it was. None where the
    curve does not say: it is shorter than a window or two, or ends where it began.
    """
    known = [loss if math.isfinite(loss) else math.inf for loss in losses]
    if len(known) < 3 * _WINDOW or not all(map(math.isfinite, (known[0], known[-1]))):
        return None
    smooth = [median(known[max(0, end - _WINDOW) : end]) for end in range(1, len(known) + 1)]
    way = smooth[-1] - smooth[0]
    if not way:
        return None
    number = next(n for n, value in enumerate(smooth, 1) if (value - smooth[0]) / way >= _FALL)
    return None if number >= len(known) else max(_LEAST, number)
