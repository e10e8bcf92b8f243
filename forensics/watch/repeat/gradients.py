"""The gradients that the last call of a gradient function gave, before the program changed them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import trees
from ..moments import Moments
from ..proxy import Proxy
from ..run import watch
from ..wrapping import wrap

_last: dict[str, Any] = {}  # by dotted name


def came(gradients: dict[str, Any]) -> dict[str, Any]:
    """As they came, of these gradients, those that the program changed since."""
    if watch.tracing:
        return {}
    return {
        name: _last[name]
        for name, each in gradients.items()
        if name in _last and _last[name] is not each and _last[name].shape == each.shape
    }


def _nn(original: Callable[..., Any]) -> Callable[..., Any]:
    def value_and_grad(*args: Any, **kwargs: Any) -> Any:
        function = original(*args, **kwargs)

        def call(*given: Any, **named: Any) -> Any:
            value, gradients = function(*given, **named)
            if not watch.tracing:
                _last.clear()
                _last.update(trees.flatten(gradients))
            return value, gradients

        return Proxy(function, call)

    return value_and_grad


def follow(run: Moments) -> None:
    run.patch("mlx.nn", lambda module: wrap(module, "value_and_grad", _nn))
