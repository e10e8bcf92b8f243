"""A parameter keeps the type of numbers that it has."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import updates


def kept(update: updates.Update) -> str | None:
    drifting = [
        name for name, old in update.old.items() if name in update.new and update.new[name].dtype != old.dtype
    ]
    update.new |= {name: update.new[name].astype(update.old[name].dtype) for name in drifting}
    return f"{len(drifting)} tensors keep their type" if drifting else None


def install(run: Moments) -> None:
    updates.cure(run, "dtype-drift", after=kept)
