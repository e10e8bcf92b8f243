"""Adapters as they were declared, put in by mlx-lm's own layers."""

from __future__ import annotations

import importlib
from typing import Any

from .. import trees
from . import told

DEFAULTS = {"rank": 8, "scale": 20.0, "dropout": 0.0}
"""mlx-lm's own, where the run declared none."""


def declared() -> dict[str, Any]:
    """What the recorded run declared of its adapter: kind, rank, scale, dropout, num_layers, keys; {} where nothing."""
    found = told.fact("adapter")
    return dict(found) if isinstance(found, dict) else {}


def put_in(module: Any, keys: list[str] | None) -> str | None:
    """Freeze the model and put the declared adapter in, where it has none; returns what was done."""
    if trees.adapters(module)[0]:
        return None
    wanted = declared()
    config: dict[str, Any] = {
        name: wanted[name] if wanted.get(name) is not None else value for name, value in DEFAULTS.items()
    }
    if keys:
        config["keys"] = keys
    layers = getattr(module, "layers", None)
    number = wanted.get("num_layers") or (len(layers) if layers is not None else 0)
    tuner = importlib.import_module("mlx_lm.tuner.utils")
    module.freeze()
    tuner.linear_to_lora_layers(module, number, config, use_dora=wanted.get("kind") == "dora")
    return f"{trees.adapters(module)[0]} adapter layers of rank {config['rank']} put in"
