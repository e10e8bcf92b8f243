"""The model is in eval mode while it generates."""

from __future__ import annotations

from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import generation


def still(call: dict[str, Any]) -> str | None:
    model: Any = call.get("model")
    if not trees.is_module(model) or not any(each.training for _, each in trees.modules(model)):
        return None
    model.eval()
    return "the model put into eval mode"


def install(run: Moments) -> None:
    generation.cure("dropout-in-generation", still)
