"""Draws within a forward outside of training are what they are on average: noise ends with the training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import generation, request
from ..run import watch
from ..trees import mx
from ..wrapping import wrap

_depth = [0]  # forwards under way of models that generate


def _forward(original: Callable[..., Any]) -> Callable[..., Any]:
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        _depth[0] += 1
        try:
            return original(self, *args, **kwargs)
        finally:
            _depth[0] -= 1

    return __call__


def still(call: dict[str, Any]) -> str | None:
    """Of the model that is asked: its forwards are known from now on."""
    if trees.is_module(call.get("model")):
        wrap(type(call["model"]), "__call__", _forward)
    return None


def _at_mean(original: Callable[..., Any], mean: Callable[..., Any]) -> Callable[..., Any]:
    def draw(*args: Any, **kwargs: Any) -> Any:
        drawn = original(*args, **kwargs)  # also where it is not used: the random state goes on
        if not _depth[0] or watch.local.gradient:
            return drawn
        request.acted("randomness-in-generation", "draws in the model's forward at their mean")
        return mx().broadcast_to(mx().array(mean(*args, **kwargs)), drawn.shape).astype(drawn.dtype)

    return draw


def _normal(original: Callable[..., Any]) -> Callable[..., Any]:
    def mean(shape: Any = None, dtype: Any = None, loc: Any = None, *_: Any, **__: Any) -> Any:
        return 0.0 if loc is None else loc

    return _at_mean(original, mean)


def _uniform(original: Callable[..., Any]) -> Callable[..., Any]:
    def mean(low: Any = 0, high: Any = 1, *_: Any, **__: Any) -> Any:
        return (low + high) / 2

    return _at_mean(original, mean)


def _core(module: Any) -> None:
    wrap(module.random, "normal", _normal)
    wrap(module.random, "uniform", _uniform)


def install(run: Moments) -> None:
    generation.cure("randomness-in-generation", still)
    run.patch("mlx.core", _core)
