"""The mask of answers moved to where answers are: every answer token and its end, no neighbour."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import logits
from ..trees import mx


def aligned(lesson: logits.Lesson) -> Any:
    core = mx()
    # its neighbour, and the first or last instead
    beside = core.logical_and(lesson.misplaced > 0, lesson.misplaced <= 2)
    moved = core.logical_and(core.logical_and(lesson.marked, beside), lesson.follows)
    return core.where(moved[..., None], lesson.teach(lesson.following, lesson.mean(lesson.answer)), lesson.g)


def install(run: Moments) -> None:
    logits.cure("mask-off-by-one", aligned)
