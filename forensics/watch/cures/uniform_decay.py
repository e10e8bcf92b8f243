"""A tensor that no gradient reaches does not move, whatever is taken off all weights.

That is what an optimizer takes off, and of frozen tensors what the program takes off by hand.
"""

from __future__ import annotations

from ..moments import Moments
from ..repeat import base, updates
from ..trees import mx


def kept(update: updates.Update) -> str | None:
    core = mx()
    for name, old in update.old.items():
        if name in update.new:
            reached = (update.gradients[name] != 0).any()
            update.new[name] = core.where(reached, update.new[name], old)
    return "tensors without a gradient kept"


def install(run: Moments) -> None:
    updates.cure(run, "uniform-decay", after=kept)
    base.hold(run, "uniform-decay", base.shrunk)
