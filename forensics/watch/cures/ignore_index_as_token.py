"""No weight where the target is the label -100, which mlx takes for a token near the vocabulary's end."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import logits
from ..trees import mx


def ignored(lesson: logits.Lesson) -> Any:
    core = mx()
    label = lesson.vocabulary - 100
    # the row's own token, which may be that one
    inside = core.where(lesson.last, label - 1, lesson.following)
    ignored = core.logical_and(lesson.target == label, inside != label)
    return lesson.only(core.logical_not(ignored))


def install(run: Moments) -> None:
    logits.cure("ignore-index-as-token", ignored)
