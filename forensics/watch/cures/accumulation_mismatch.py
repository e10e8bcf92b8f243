"""Gradients that were summed over several batches are made their mean."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import request, updates


def averaged(update: updates.Update) -> str | None:
    parts = request.fact("summed")
    if not parts:
        return None
    update.gradients = {name: array / parts for name, array in update.gradients.items()}
    return f"gradients divided by {parts}"


def install(run: Moments) -> None:
    updates.cure(run, "accumulation-mismatch", before=averaged)
