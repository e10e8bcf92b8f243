"""Adapters that add nothing yet: a model that got them says what it said without them.

A fresh adapter of mlx-lm's is a product with a matrix of zeros. What the model answers then need not be made
a second time, where the logits after the prompt, computed with the adapters, are those of before to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import trees

_KINDS = ("LoRALinear", "LoRASwitchLinear", "LoRAEmbedding")
"""Classes of mlx-lm whose forward is that of the layer inside plus a product with `lora_b`."""
_INSIDE = ("linear", "embedding")


def adds_nothing(module: Any, before: Mapping[str, str | None], now: Mapping[str, str | None]) -> bool:
    """Is this the model of `before`, with nothing but adapters put in whose `lora_b` is all zero?

    Args:
        before: digests of its parameters by name, of then.
        now: the same of now.
    """
    last, wrapped = list[Any](), set[str]()
    for path, each in trees.modules(module):
        if "lora_a" not in each:
            continue
        if type(each).__name__ not in _KINDS or not type(each).__module__.startswith("mlx_lm.tuner."):
            return False
        if set(each) - {"lora_a", "lora_b", "dropout", *_INSIDE}:
            return False
        wrapped |= {f"{path}.{inside}" for inside in _INSIDE if inside in each}
        last.append(each["lora_b"])
    old = {_without(name, wrapped): digest for name, digest in now.items() if not _is_factor(name)}
    return bool(last) and old == before and None not in old.values() and _all_zero(last)


def _without(name: str, wrapped: set[str]) -> str:
    """The name that a parameter had before its layer was wrapped."""
    path, _, leaf = name.rpartition(".")
    return f"{path.rpartition('.')[0]}.{leaf}" if path in wrapped else name


def _is_factor(name: str) -> bool:
    return name.rpartition(".")[2] in ("lora_a", "lora_b")


def _all_zero(arrays: list[Any]) -> bool:
    core = trees.mx()
    return not core.stack([core.any(array != 0) for array in arrays]).any().item()
