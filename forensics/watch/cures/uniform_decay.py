"""A tensor that no gradient reaches does not move, whatever is taken off all weights.

That is what an optimizer takes off, and of frozen tensors what the program takes off by hand.
"""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import base, updates
from ..trees import mx

_TURNED = 1e-4
"""1 - cosine of a tensor that was only scaled: what the rounding of 16 bits leaves."""


def kept(update: updates.Update) -> str | None:
    core = mx()
    for name, old in update.old.items():
        if name in update.new:
            reached = (update.gradients[name] != 0).any()
            update.new[name] = core.where(reached, update.new[name], old)
    return "tensors without a gradient kept"


def shrunk(before: Any, now: Any) -> bool:
    """Is a tensor what it was times one factor below 1?"""
    core = mx()
    if not core.issubdtype(before.dtype, core.floating):
        return False
    was, then = (each.astype(core.float32).reshape(-1) for each in (before, now))
    size, left = core.linalg.norm(was).item(), core.linalg.norm(then).item()
    if not 0 < left < size:
        return False
    return bool((was * then).sum().item() > (1 - _TURNED) * size * left)


def install(run: Moments) -> None:
    updates.cure(run, "uniform-decay", after=kept)
    base.hold(run, "uniform-decay", shrunk)
