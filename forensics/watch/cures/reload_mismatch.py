"""What is saved has the values that the trained model holds."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import saves


def install(run: Moments) -> None:
    saves.cure("reload-mismatch", saves.live)
