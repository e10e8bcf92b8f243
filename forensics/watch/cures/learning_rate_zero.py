"""The learning rate that the run declared, where it was 0 at every step."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import request, updates


def driven(update: updates.Update) -> str | None:
    rate = request.fact("rate")
    if rate is None:
        return None
    getattr(update.optimizer, "_schedulers", {}).pop("learning_rate", None)
    update.optimizer.learning_rate = rate
    return f"a learning rate of {rate:g}"


def install(run: Moments) -> None:
    updates.cure(run, "learning-rate-zero", before=driven)
