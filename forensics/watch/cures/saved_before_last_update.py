"""What is saved is brought up to the last update."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import saves


def install(run: Moments) -> None:
    saves.cure("saved-before-last-update", saves.live)
