"""Every token of answers is taught, not a part of them."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import logits
from ..trees import mx


def whole(lesson: logits.Lesson) -> Any:
    core = mx()
    some = core.logical_and(lesson.taught, lesson.answer).sum()
    gaps = core.logical_and(
        lesson.answer, core.logical_and(lesson.has_target, core.logical_not(lesson.taught))
    )
    inside = core.logical_and(
        core.logical_and(gaps, lesson.marked), core.logical_and(some > 0, lesson.follows)
    )
    mask = core.logical_or(lesson.taught, inside)
    return core.where(inside.sum() > 0, lesson.teach(lesson.following, lesson.mean(mask)), lesson.g)


def install(run: Moments) -> None:
    logits.cure("answers-partly-masked", whole)
