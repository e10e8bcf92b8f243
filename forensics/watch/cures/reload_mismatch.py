"""What is saved has the values that the trained model holds, and its head where that one has it."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import saves
from . import config_lost

_TIED = "tie_word_embeddings"


def alike(arrays: saves.Arrays, own: saves.Arrays) -> saves.Arrays:
    """Of a save that came too early nothing is changed: that is another fault."""
    return arrays if saves.as_begun(arrays) or saves.as_held(arrays) else saves.live(arrays, own)


def untied(directory: str) -> None:
    config_lost.restored("reload-mismatch", directory, lambda key: key == _TIED)


def install(run: Moments) -> None:
    saves.remember_the_start(run, "reload-mismatch")
    saves.cure("reload-mismatch", alike)
    config_lost.follow(run)
    saves.on_directory(untied)
