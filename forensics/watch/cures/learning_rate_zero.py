"""The learning rate that the run declared, else a usual one, where it was 0 at every step."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import request, updates

USUAL = 1e-4
"""Where nothing says which was meant: that nothing moved for want of a rate shows with any."""


def driven(update: updates.Update) -> str | None:
    declared = request.fact("rate")
    if declared is None and not request.fact("still"):
        return None
    rate = USUAL if declared is None else declared
    getattr(update.optimizer, "_schedulers", {}).pop("learning_rate", None)
    update.optimizer.learning_rate = rate
    unsaid = ", for the program says nowhere which was meant" if declared is None else ""
    return f"a learning rate of {rate:g}{unsaid}"


def install(run: Moments) -> None:
    updates.cure(run, "learning-rate-zero", before=driven)
