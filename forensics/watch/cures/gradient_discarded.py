"""A gradient that came and was made 0 before the update is applied as it came."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import gradients, updates
from ..trees import mx


def given_back(update: updates.Update) -> str | None:
    """Before: a tensor whose gradient is 0 everywhere gets the one that came."""
    core, came = mx(), gradients.came(update.gradients)
    for name, each in came.items():
        gradient = update.gradients[name]
        update.gradients[name] = core.where((gradient != 0).any(), gradient, each.astype(gradient.dtype))
    return f"{len(came)} gradients applied as they came, where they were made 0" if came else None


def install(run: Moments) -> None:
    gradients.follow(run)
    updates.cure(run, "gradient-discarded", before=given_back)
