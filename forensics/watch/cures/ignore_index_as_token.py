"""No weight where the target is the label -100 or -1, which mlx takes for tokens at the vocabulary's end."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import logits
from ..trees import mx


def ignored(lesson: logits.Lesson) -> Any:
    core = mx()
    tokens = core.ones(lesson.target.shape, dtype=core.bool_)
    for label in (lesson.vocabulary - 100, lesson.vocabulary - 1):
        # the row's own token, which may be that one
        inside = core.where(lesson.last, label - 1, lesson.following)
        tokens = core.logical_and(tokens, core.logical_or(lesson.target != label, inside == label))
    return lesson.only(tokens)


def install(run: Moments) -> None:
    logits.cure("ignore-index-as-token", ignored)
