"""No weight on prompts, as the template marks them; the rest of a mean stays a mean."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import logits
from ..trees import mx


def answers(lesson: logits.Lesson) -> Any:
    return lesson.only(mx().logical_not(lesson.prompt))


def install(run: Moments) -> None:
    logits.cure("prompt-in-loss", answers)
