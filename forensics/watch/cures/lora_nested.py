"""Of adapters around adapters the outer one alone is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import request, training
from ..wrapping import bound, wrap


def flattened(module: Any) -> str | None:
    count = 0
    for _, each in trees.modules(module):
        inner: Any = each.get("linear", each.get("embedding")) if "lora_a" in each else None
        while trees.is_module(inner) and "lora_a" in inner:
            inner = inner.get("linear", inner.get("embedding"))
            each["linear" if "linear" in each else "embedding"] = inner
            count += 1
    return f"{count} inner adapters taken out" if count else None


def _converted(original: Callable[..., Any]) -> Callable[..., Any]:
    """A conversion that comes later, between two stages of training, is undone where it nests."""

    def linear_to_lora_layers(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        module = bound(original, args, kwargs).get("model")
        if trees.is_module(module):
            request.cure([("lora-nested", flattened)], module)
        return result

    return linear_to_lora_layers


def install(run: Moments) -> None:
    run.patch("mlx_lm.tuner.utils", lambda module: wrap(module, "linear_to_lora_layers", _converted))
    training.cure(run, "lora-nested", flattened)
