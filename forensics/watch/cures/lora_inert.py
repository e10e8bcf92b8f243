"""An adapter that can never act can: a first factor of 0 is drawn, a scale of 0 is the declared one."""

from __future__ import annotations

import functools
import math
from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import adapters, saves, training
from ..trees import mx


def acting(module: Any) -> str | None:
    count = 0
    for _, each in trees.modules(module):
        if "lora_a" not in each:
            continue
        first, second = each["lora_a"], each["lora_b"]
        if not bool((first != 0).any().item()) and not bool((second != 0).any().item()):
            most = 1 / math.sqrt(max(1, first.shape[0]))
            each["lora_a"] = mx().random.uniform(-most, most, first.shape).astype(first.dtype)
            count += 1
        if getattr(each, "scale", None) == 0:
            each.scale = adapters.settings()["scale"] or adapters.DEFAULTS["scale"]
            count += 1
    return f"{count} adapters made to act" if count else None


def install(run: Moments) -> None:
    training.cure(run, "lora-inert", acting)
    saves.on_directory(functools.partial(adapters.write_scale, "lora-inert"), adapters=True)
