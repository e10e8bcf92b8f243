"""A loss taken on hidden states by another head than the model's is taken by the model's own.

That is the embedding of a model that has a head, or the head without its scale and cap. Targets and weights
stay those of the program. A gradient of the head's own rows is left as it came.
"""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import logits
from ..training import hidden
from ..trees import mx

_EXPLAINED = 0.05
"""The share of a gradient that a head which explains it leaves over, at most."""


def own(lesson: logits.Lesson) -> Any:
    core, head = mx(), lesson.head
    if head is None or (other := head.other) is None:
        return lesson.g
    theirs = hidden.reduce(lesson.z, lesson.g, other[1])
    left = [_unexplained(read) for read in (theirs, hidden.reduce(lesson.z, lesson.g, head))]
    another = core.logical_and(left[0] < left[1], left[0] <= _EXPLAINED)
    weight = core.where(theirs["mass"] > 0, theirs["weight"], 0.0)
    return core.where(another, lesson.teach(theirs["target"], weight), lesson.g)


def _unexplained(read: dict[str, Any]) -> Any:
    """The share of the mass that a reading leaves over."""
    core = mx()
    whole = read["mass"].sum()
    return core.where(whole > 0, (read["residual"] * read["mass"]).sum() / core.maximum(whole, 1e-30), 0.0)


def install(run: Moments) -> None:
    logits.cure("loss-not-of-logits", own, logits.TARGETS)
