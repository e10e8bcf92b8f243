"""What is saved are the trained tensors under their dotted names, all of them."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import saves


def install(run: Moments) -> None:
    saves.cure("save-failed", saves.whole)
