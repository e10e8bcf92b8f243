"""What is not finite of a gradient is left out: positions at the logits, else the update and its moments.

A loss of which no position has a finite gradient is replaced by the plain one: each token teaches the next.
"""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import logits, updates
from ..trees import mx


def finite(lesson: logits.Lesson) -> Any:
    """No gradient at positions where it is not finite: one of them spoils that of every parameter."""
    core = mx()
    sound = core.isfinite(lesson.g).all(axis=-1, keepdims=True)
    left = core.where(sound, lesson.g, core.zeros_like(lesson.g))
    known = core.arange(lesson.ids.shape[1])[None] < lesson.ids.shape[1] - 1
    real = core.logical_and(known, core.logical_not(lesson.pad))
    plain = lesson.teach(lesson.following, lesson.mean(real, 1.0)).astype(lesson.g.dtype)
    whole = core.logical_and(core.logical_not(sound.any()), core.isfinite(lesson.z).all())
    return core.where(whole, plain, left)


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
    core, sound = mx(), update.finite
    for array in update.new.values():
        sound = core.logical_and(sound, core.isfinite(array).all())
    for name, old in update.old.items():
        if name in update.new:
            update.new[name] = core.where(sound, update.new[name], old)
    return "updates that are not finite dropped"


def install(run: Moments) -> None:
    logits.cure("weights-not-finite", finite, logits.TARGETS)
    updates.cure(run, "weights-not-finite", before=zeroed, after=kept)
