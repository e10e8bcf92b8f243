"""Adapters as they were declared, put in by mlx-lm's own layers."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Collection, Iterable
from typing import Any

from .. import trees
from . import request, updates

DEFAULTS = {"rank": 8, "scale": 20.0, "dropout": 0.0}
"""mlx-lm's own, where the run declared none."""
FILE = "adapter_config.json"


def declared() -> dict[str, Any]:
    """What the recorded run declared of its adapter: kind, rank, scale, dropout, num_layers, keys.

    {} where nothing.
    """
    adapter = request.fact("adapter")
    return dict(adapter) if isinstance(adapter, dict) else {}


def settings() -> dict[str, Any]:
    """Rank, scale and dropout as declared, else as mlx-lm has them."""
    wanted = declared()
    return {name: wanted[name] if wanted.get(name) is not None else value for name, value in DEFAULTS.items()}


def put_in(module: Any, keys: list[str] | None) -> str | None:
    """Freeze the model and put the declared adapter in, where it has none; returns what was done."""
    if trees.adapters(module)[0]:
        return None
    wanted, config = declared(), settings()
    layers = getattr(module, "layers", None)
    if meant := _linear(layers or (), keys or ()):
        config["keys"] = meant
    number = wanted.get("num_layers") or (len(layers) if layers is not None else 0)
    tuner = importlib.import_module("mlx_lm.tuner.utils")
    module.freeze()
    tuner.linear_to_lora_layers(module, number, config, use_dora=wanted.get("kind") == "dora")
    return f"{trees.adapters(module)[0]} adapter layers of rank {config['rank']} put in"


def _linear(layers: Iterable[Any], keys: Collection[str]) -> list[str]:
    """The linear layers in blocks that are meant by keys, which may be the last part of a name alone."""
    base = sys.modules["mlx.nn"]
    return sorted(
        {
            path
            for layer in layers
            for path, each in trees.modules(layer)
            if isinstance(each, (base.Linear, base.QuantizedLinear))
            and any(path == key or path.endswith(f".{key}") for key in keys if key)
        }
    )


def complete(module: Any) -> str | None:
    """Put the declared adapter at the declared layers that have none, and leave those that have one.

    Returns what was done.
    """
    wanted, config, layers = declared(), settings(), list(getattr(module, "layers", ()))
    if not layers or not trees.adapters(module)[0]:
        return None
    keys = wanted.get("keys") or sorted(
        {path for layer in layers for path, each in trees.modules(layer) if "lora_a" in each}
    )
    lora = importlib.import_module("mlx_lm.tuner.lora")
    base = sys.modules["mlx.nn"]
    count = 0
    for layer in _meant(layers, wanted):
        for path, each in list(trees.modules(layer)):
            fits = any(path == key or path.endswith(f".{key}") or key.endswith(f".{path}") for key in keys)
            if path and fits and isinstance(each, (base.Linear, base.QuantizedLinear)):
                adapter = lora.LoRALinear.from_base(
                    each, r=config["rank"], scale=config["scale"], dropout=config["dropout"]
                )
                layer.update_modules(trees.unflatten([(path, adapter)]))
                count += 1
    return f"{count} adapter layers added" if count else None


def _meant(layers: list[Any], wanted: dict[str, Any]) -> list[Any]:
    """The blocks that the declaration names, else the last so many, else all."""
    named = [index for index in wanted.get("layers") or () if isinstance(index, int) and index < len(layers)]
    if named:
        return [layers[index] for index in named]
    number = min(wanted.get("num_layers") or len(layers), len(layers))
    return layers[len(layers) - number :] if number > 0 else layers


def write_scale(name: str, directory: str) -> None:
    """Have the settings of mlx-lm's form beside a saved adapter name the scale with which it was trained.

    Args:
        name: the cure that does so.
    """
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
        request.acted(name, f"a scale of {scale:g} written beside the adapter, not {before}")


def free(module: Any) -> str | None:
    """Make every tensor of the adapter trainable; returns what was done."""
    before, trained = len(trees.trainable(module)), 0
    for _, each in trees.modules(module):
        if "lora_a" in each:
            each.unfreeze(
                recurse=False, keys=[key for key in ("lora_a", "lora_b", "m") if key in each], strict=False
            )
    trained = len(trees.trainable(module))
    return f"{trained - before} tensors of the adapter made trainable" if trained > before else None
