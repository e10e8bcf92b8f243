"""Each adapter has the declared scale, and what is saved beside it names the scale in force."""

from __future__ import annotations

import json
import os
from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import adapters, request, saves, training, updates

_NAME = "lora-scale-mismatch"
FILE = "adapter_config.json"


def scaled(module: Any) -> str | None:
    wanted = adapters.declared().get("scale")
    layers = [
        each
        for _, each in trees.modules(module)
        if "lora_a" in each and trees.scale(each) not in (None, wanted)
    ]
    if wanted is None or not layers:
        return None
    for layer in layers:
        layer.scale = float(wanted)
    return f"the scale of {len(layers)} adapters set to {wanted:g}"


def written(directory: str) -> None:
    """Have the settings of mlx-lm's form beside a saved adapter name the scale with which it was trained."""
    layers = [] if (model := updates.trained()) is None else [each for _, each in trees.modules(model)]
    scales = {trees.scale(each) for each in layers if "lora_a" in each}
    path = os.path.join(directory, FILE)
    if len(scales) != 1 or None in scales or not os.path.exists(path):
        return
    scale = scales.pop()
    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    told = config.get("lora_parameters")
    if isinstance(told, dict) and told.get("scale") != scale:
        before, told["scale"] = told.get("scale"), scale
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file, indent=4)
        request.acted(_NAME, f"a scale of {scale:g} written beside the adapter, not {before}")


def install(run: Moments) -> None:
    training.cure(run, _NAME, scaled)
    saves.on_directory(written, adapters=True)
