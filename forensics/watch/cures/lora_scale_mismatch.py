"""Each adapter has the declared scale, and what is saved beside it names the scale in force."""

from __future__ import annotations

import functools
from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import adapters, saves, training

_NAME = "lora-scale-mismatch"


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


def install(run: Moments) -> None:
    training.cure(run, _NAME, scaled)
    saves.on_directory(functools.partial(adapters.write_scale, _NAME), adapters=True)
