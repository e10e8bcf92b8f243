"""The cross-entropy of the logits, where that of their probabilities was taken."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..protocol import RESIDUAL_MOST
from ..repeat import logits
from ..trees import mx


def of_logits(lesson: logits.Lesson) -> Any:
    core = mx()
    mask = core.logical_and(lesson.taught, lesson.has_target)
    residual = core.where(lesson.taught, lesson.residual, 0.0).sum() / core.maximum(lesson.taught.sum(), 1)
    right = lesson.teach(
        lesson.following, lesson.mean(core.logical_and(mask, core.logical_not(lesson.pad)), 1.0)
    )
    # of nearly even probabilities the gradient has the form of a cross-entropy's, with weights that are tiny
    # and uneven
    faint = core.logical_and(core.abs(lesson.weight).sum() < 0.5, lesson.uneven)
    return core.where(core.logical_or(residual > RESIDUAL_MOST, faint), right, lesson.g)


def install(run: Moments) -> None:
    logits.cure("probabilities-as-logits", of_logits, logits.TARGETS)
