"""The sign turned where one forward is pushed away from its targets as a whole."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import logits
from ..trees import mx


def turned(lesson: logits.Lesson) -> Any:
    core = mx()
    if lesson.forwards > 1:  # of chosen and rejected answers one is meant to be pushed away
        return lesson.g
    return core.where(lesson.weight.sum() < 0, -lesson.g, lesson.g)


def install(run: Moments) -> None:
    logits.cure("loss-sign-flipped", turned, logits.TARGETS)
