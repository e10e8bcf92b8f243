"""Where nothing is taught, the answers are."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import logits
from ..trees import mx


def taught(lesson: logits.Lesson) -> Any:
    core = mx()
    nothing = core.logical_or(lesson.taught.sum() == 0, core.logical_not(core.isfinite(lesson.g).all()))
    mask = core.logical_and(lesson.answer, lesson.has_target)
    return core.where(nothing, lesson.teach(lesson.following, lesson.mean(mask)), lesson.g)


def install(run: Moments) -> None:
    logits.cure("all-tokens-masked", taught, logits.TARGETS)
