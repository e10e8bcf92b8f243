"""An update whose gradients are not finite is dropped."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import updates
from ..trees import mx


def kept(update: updates.Update) -> str | None:
    core = mx()
    finite = core.array(True)
    for array in (*update.gradients.values(), *update.new.values()):
        finite = core.logical_and(finite, core.isfinite(array).all())
    for name, old in update.old.items():
        if name in update.new:
            update.new[name] = core.where(finite, update.new[name], old)
    return "updates that are not finite dropped"


def install(run: Moments) -> None:
    updates.cure(run, "weights-not-finite", after=kept)
