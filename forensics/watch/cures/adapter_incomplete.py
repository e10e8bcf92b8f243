"""What is saved of an adapter is all of it."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import saves


def install(run: Moments) -> None:
    saves.cure("adapter-incomplete", saves.whole)
