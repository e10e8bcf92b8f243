"""Of adapters around adapters the outer one alone is left."""

from __future__ import annotations

from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import training


def flattened(module: Any) -> str | None:
    count = 0
    for _, each in trees.modules(module):
        inner: Any = each.get("linear", each.get("embedding")) if "lora_a" in each else None
        while trees.is_module(inner) and "lora_a" in inner:
            inner = inner.get("linear", inner.get("embedding"))
            each["linear" if "linear" in each else "embedding"] = inner
            count += 1
    return f"{count} inner adapters taken out" if count else None


def install(run: Moments) -> None:
    training.cure(run, "lora-nested", flattened)
