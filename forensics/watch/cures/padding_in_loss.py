"""No weight on padding; the rest of a mean stays a mean."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import logits
from ..trees import mx


def unpadded(lesson: logits.Lesson) -> Any:
    return lesson.only(mx().logical_not(lesson.pad))


def install(run: Moments) -> None:
    logits.cure("padding-in-loss", unpadded)
