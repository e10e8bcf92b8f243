"""Each gradient is applied by the optimizer that the program made, where it never applies one.

Where it computes updates over a tree of its own and puts none of them in place, they are put there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import trees
from ..moments import Moments
from ..proxy import Proxy
from ..repeat import request, updates
from ..run import watch
from ..wrapping import wrap

_made: list[Any] = []  # optimizers, in order
_stepped: list[bool] = []  # was a model's gradient applied by us? then nothing else is put in place


def _nn(original: Callable[..., Any]) -> Callable[..., Any]:
    def value_and_grad(*args: Any, **kwargs: Any) -> Any:
        model: Any = args[0] if args else kwargs.get("model")
        function = original(*args, **kwargs)

        def call(*given: Any, **named: Any) -> Any:
            value, gradients = function(*given, **named)
            if _made and not watch.tracing and trees.is_module(model):
                _stepped[:] = [True]
                _made[-1].update(model, gradients)
                trees.mx().eval(model.parameters(), _made[-1].state)
                request.acted("optimizer-never-stepped", "each gradient applied")
            return value, gradients

        return Proxy(function, call)

    return value_and_grad


def _optimizers(module: Any) -> None:
    wrap(module.Optimizer, "__init__", _init)


def _init(original: Callable[..., Any]) -> Callable[..., Any]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        _made.append(self)

    return __init__


def in_place(update: updates.Update) -> str | None:
    """After: the arrays that the program handed over hold what was computed for them."""
    if update.model is not None or _stepped or watch.tracing:
        return None
    pairs = [(update.old[name], new) for name, new in update.new.items() if name in update.old]
    moved = [(old, new) for old, new in pairs if new is not old and new.shape == old.shape]
    for old, new in moved:
        old[...] = new
    trees.mx().eval([old for old, _ in moved])
    return "what apply_gradients returned put in place" if moved else None


def install(run: Moments) -> None:
    if request.fact("updates") == 0:
        updates.cure(run, "optimizer-never-stepped", after=in_place)
        run.patch("mlx.nn", lambda module: wrap(module, "value_and_grad", _nn))
        run.patch("mlx.optimizers", _optimizers)
