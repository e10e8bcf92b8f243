"""What is saved are the trained tensors, not those of before training."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import saves


def install(run: Moments) -> None:
    saves.cure("saved-untrained", saves.live)
