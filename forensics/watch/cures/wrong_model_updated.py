"""The model that was trained is saved and asked, in place of the one that was not."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import generation, saves
from .stale_model_in_generation import fresh


def install(run: Moments) -> None:
    saves.cure("wrong-model-updated", saves.live)
    generation.cure("wrong-model-updated", fresh)
