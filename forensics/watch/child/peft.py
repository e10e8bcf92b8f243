"""Puts a PEFT LoRA adapter on a model of mlx-lm, which has no loader for it.

Its factors are transposed, and its scale is lora_alpha / r.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .. import trees
from ..trees import mx

FILE = "adapter_model.safetensors"
_NAME = re.compile(r"(?:base_model\.model\.)?(.+)\.lora_([AB])(?:\.[^.]+)?\.weight")


def put_on(module: Any, directory: Path) -> list[str]:
    """Convert the layers that the adapter names, and give them its factors.

    Returns the names of the tensors that it set.

    Raises ValueError where it is no plain LoRA of linear layers, or names layers that the model has not.
    """
    from mlx_lm.tuner.lora import LoRALinear

    config = json.loads((directory / "adapter_config.json").read_text(encoding="utf-8"))
    if config.get("peft_type", "LORA") != "LORA" or config.get("use_dora"):
        raise ValueError("only plain LoRA of PEFT can be loaded")
    factors = _factors(directory)
    layers = dict(trees.modules(module))
    strange = [path for path in factors if path not in layers or "Linear" not in type(layers[path]).__name__]
    if strange:
        raise ValueError(
            f"{len(strange)} of {len(factors)} adapted layers are no linear layers of the model,"
            f" the first: {strange[0]}"
        )
    for path, (a, b) in factors.items():
        layer = LoRALinear.from_base(layers[path], r=a.shape[1], scale=_scale(config, path, a.shape[1]))
        layer.lora_a, layer.lora_b = a, b
        _replace(module, path, layer)
    module.eval()
    return [f"{path}.{leaf}" for path in factors for leaf in ("lora_a", "lora_b")]


def _factors(directory: Path) -> dict[str, tuple[Any, Any]]:
    """Path of each layer to (lora_a (in, r), lora_b (r, out))."""
    factors: dict[str, dict[str, Any]] = {}
    for name, array in mx().load(str(directory / FILE)).items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise ValueError(f"only plain LoRA of PEFT can be loaded, not {name}")
        factors.setdefault(match[1], {})[match[2]] = mx().contiguous(array.T)
    return {path: (each["A"], each["B"]) for path, each in factors.items()}


def _scale(config: dict[str, Any], path: str, rank: int) -> float:
    """lora_alpha over the rank, or its root; a layer may have an alpha of its own."""
    own = [
        alpha
        for pattern, alpha in (config.get("alpha_pattern") or {}).items()
        if re.search(rf"(^|\.){pattern}$", path)
    ]
    alpha = float(own[0] if own else config.get("lora_alpha", rank))
    return alpha / rank**0.5 if config.get("use_rslora") else alpha / rank


def _replace(module: Any, path: str, layer: Any) -> None:
    """Put a layer at a dotted path."""
    *above, name = path.split(".")
    holder = module
    for part in above:
        holder = holder[int(part)] if isinstance(holder, list) else holder[part]
    holder[name] = layer
