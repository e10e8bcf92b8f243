"""A sum over tokens is made the mean that it stands for, and an update out of proportion a hundredth."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import logits, updates
from ..trees import mx

_LARGE, _SMALL = 0.3, 0.01
"""Shares of the norm of what is updated: above the first an update is made as long as the second says."""


def averaged(lesson: logits.Lesson) -> Any:
    core = mx()
    whole = core.abs(lesson.weight.sum())
    return core.where(whole > 1.5, lesson.g / core.maximum(whole, 1.0), lesson.g)


def shortened(update: updates.Update) -> str | None:
    core = mx()
    pairs = {name: (old, update.new[name]) for name, old in update.old.items() if name in update.new}
    if not pairs:
        return None
    step = core.sqrt(sum(_square(new - old) for old, new in pairs.values()))
    whole = core.sqrt(sum(_square(old) for old, _ in pairs.values()))
    large = core.logical_and(step > _LARGE * whole, whole > 0)
    factor = core.where(large, _SMALL * whole / core.maximum(step, 1e-30), 1.0)
    for name, (old, new) in pairs.items():
        shorter = old + (new - old) * factor.astype(new.dtype)
        update.new[name] = core.where(large, shorter, new).astype(new.dtype)
    return "updates above three tenths of what they change made a hundredth of it"


def _square(array: Any) -> Any:
    core = mx()
    return core.square(array.astype(core.float32)).sum()


def install(run: Moments) -> None:
    logits.cure("update-too-large", averaged)
    updates.cure(run, "update-too-large", after=shortened)
