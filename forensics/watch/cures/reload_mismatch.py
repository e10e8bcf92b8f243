"""What is saved has the values that the trained model holds, and its head where that one has it."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import saves
from . import config_lost

_TIED = "tie_word_embeddings"


def untied(directory: str) -> None:
    config_lost.restored("reload-mismatch", directory, lambda key: key == _TIED)


def install(run: Moments) -> None:
    saves.cure("reload-mismatch", saves.live)
    config_lost.follow(run)
    saves.on_directory(untied)
