"""An update whose gradients are not finite is left out, of the weights and of the optimizer's moments."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import updates
from ..trees import mx


def zeroed(update: updates.Update) -> str | None:
    """No gradient instead of one that is not finite: it would stay in the optimizer's moments."""
    core = mx()
    update.finite = core.array(True)
    for array in update.gradients.values():
        update.finite = core.logical_and(update.finite, core.isfinite(array).all())
    for name, array in update.gradients.items():
        update.gradients[name] = core.where(update.finite, array, core.zeros_like(array))
    return None


def kept(update: updates.Update) -> str | None:
    core, finite = mx(), update.finite
    for array in update.new.values():
        finite = core.logical_and(finite, core.isfinite(array).all())
    for name, old in update.old.items():
        if name in update.new:
            update.new[name] = core.where(finite, update.new[name], old)
    return "updates that are not finite dropped"


def install(run: Moments) -> None:
    updates.cure(run, "weights-not-finite", before=zeroed, after=kept)
