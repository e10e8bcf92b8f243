"""The sign turned where one forward is pushed away from its targets as a whole.

The same of gradients that the program turned after they came.
"""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import gradients, logits, updates
from ..trees import mx


def turned(lesson: logits.Lesson) -> Any:
    core = mx()
    if lesson.forwards > 1:  # of chosen and rejected answers one is meant to be pushed away
        return lesson.g
    return core.where(lesson.weight.sum() < 0, -lesson.g, lesson.g)


def uphill(update: updates.Update) -> str | None:
    """Before: gradients that point away from those that came, taken together, are turned."""
    core, came = mx(), gradients.came(update.gradients)
    if not came or set(came) != set(update.gradients):
        return None
    along = sum((came[name].astype(core.float32) * each).sum() for name, each in update.gradients.items())
    for name, each in update.gradients.items():
        update.gradients[name] = core.where(along < 0, -each, each)
    return "gradients that were turned around turned back"


def install(run: Moments) -> None:
    gradients.follow(run)
    updates.cure(run, "loss-sign-flipped", before=uphill)
    logits.cure("loss-sign-flipped", turned, logits.TARGETS)
