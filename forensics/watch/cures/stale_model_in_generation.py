"""The model that was trained answers in place of an untrained copy of it."""

from __future__ import annotations

from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import generation, updates


def fresh(call: dict[str, Any]) -> str | None:
    given, trained = call.get("model"), updates.trained()
    if trained is None or given is trained or type(given) is not type(trained):
        return None
    shapes = [
        {name: array.shape for name, array in trees.parameters(item).items()} for item in (given, trained)
    ]
    if shapes[0] != shapes[1]:
        return None
    call["model"] = trained
    return "the trained model answers"


def install(run: Moments) -> None:
    generation.cure("stale-model-in-generation", fresh)
