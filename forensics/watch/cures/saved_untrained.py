"""What is saved are the trained tensors, not those of before training."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import saves


def trained(arrays: saves.Arrays, own: saves.Arrays) -> saves.Arrays:
    return saves.live(arrays, own) if saves.as_begun(arrays) else arrays


def install(run: Moments) -> None:
    saves.remember_the_start(run, "saved-untrained")
    saves.cure("saved-untrained", trained)
