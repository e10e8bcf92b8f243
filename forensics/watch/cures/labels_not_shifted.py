"""Each position teaches the token after it in place of its own."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import logits
from ..trees import mx


def shifted(lesson: logits.Lesson) -> Any:
    core = mx()
    own = lesson.relation(0)
    mask = core.logical_and(core.logical_and(lesson.taught, lesson.has_target), core.logical_not(lesson.pad))
    return core.where(own, lesson.teach(lesson.following, lesson.spread(mask)), lesson.g)


def install(run: Moments) -> None:
    logits.cure("labels-not-shifted", shifted, logits.TARGETS)
