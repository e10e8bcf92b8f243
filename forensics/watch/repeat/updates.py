"""What an optimizer does, cured: before it computes an update, and after.

A cure is given an `Update` and changes its gradients, or what comes of it. All is symbolic, so that it holds
in compiled steps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import trees
from ..moments import Moments
from ..run import watch
from ..wrapping import wrap_methods
from . import request

Function = Callable[["Update"], str | None]


@dataclass
class Update:
    """One update: trees as dicts of dotted names. `new` is empty before it is computed.

    `model` is None where trees alone are known.
    """

    optimizer: Any
    model: Any
    gradients: dict[str, Any]
    old: dict[str, Any]
    new: dict[str, Any]
    dtypes: dict[str, Any]  # of the parameters as the model has them
    finite: Any = None  # were all gradients? Set by a cure that puts others in their place


class _Local(threading.local):
    model: Any = None
    depth = 0


_local = _Local()
_before: list[tuple[str, Function]] = []
_after: list[tuple[str, Function]] = []


def cure(run: Moments, name: str, *, before: Function | None = None, after: Function | None = None) -> None:
    """Have these called at each update.

    Each returns what it changed, None where there was nothing to change.
    """
    if not _before and not _after:
        run.patch("mlx.optimizers", _optimizers)
    _before.extend([(name, before)] if before else [])
    _after.extend([(name, after)] if after else [])


def trained() -> Any:
    """The module that was updated most, None before any was."""
    moved = [
        (model.updates + model.writes, model.module)
        for model in watch.models
        if trees.is_module(model.module)
    ]
    count, module = max(moved, key=lambda each: each[0], default=(0, None))
    return module if count else None


def _update(original: Callable[..., Any]) -> Callable[..., Any]:
    def update(self: Any, *args: Any, **kwargs: Any) -> Any:
        model = args[0] if args else kwargs.get("model")
        before, _local.model = _local.model, model
        try:
            return original(self, *args, **kwargs)
        finally:
            _local.model = before

    return update


def _apply(original: Callable[..., Any]) -> Callable[..., Any]:
    def apply_gradients(self: Any, gradients: Any, parameters: Any) -> Any:
        if _local.depth:
            return original(self, gradients, parameters)
        have = dict(trees.flatten(parameters))
        flat = dict(trees.flatten(gradients))
        old = {name: have[name] for name in flat if name in have}
        dtypes = {name: array.dtype for name, array in old.items()}
        update = Update(self, _local.model, flat, dict(old), {}, dtypes)
        request.cure(_before, update)
        if len(old) == len(flat) and any(update.old[name] is not old[name] for name in old):
            parameters = trees.replaced(gradients, iter(update.old[name] for name in flat))
        _local.depth += 1
        try:
            result = original(self, trees.replaced(gradients, iter(update.gradients.values())), parameters)
        finally:
            _local.depth -= 1
        update.new = dict(trees.flatten(result))
        request.cure(_after, update)
        return trees.replaced(result, iter(update.new.values()))

    return apply_gradients


def _optimizers(module: Any) -> None:
    wrap_methods(module, module.Optimizer, {"update": _update, "apply_gradients": _apply})
