"""A gradient that came and was made 0 before the update is applied as it came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import trees
from ..moments import Moments
from ..proxy import Proxy
from ..repeat import updates
from ..run import watch
from ..trees import mx
from ..wrapping import wrap

_last: dict[str, Any] = {}  # the gradients of the last call, by dotted name


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


def given_back(update: updates.Update) -> str | None:
    """Before: a tensor whose gradient is 0 everywhere gets the one that came."""
    core, count = mx(), 0
    for name, gradient in update.gradients.items():
        came = _last.get(name)
        if came is not None and came is not gradient and came.shape == gradient.shape and not watch.tracing:
            update.gradients[name] = core.where((gradient != 0).any(), gradient, came.astype(gradient.dtype))
            count += 1
    return f"{count} gradients applied as they came, where they were made 0" if count else None


def install(run: Moments) -> None:
    run.patch("mlx.nn", lambda module: wrap(module, "value_and_grad", _nn))
    updates.cure(run, "gradient-discarded", before=given_back)
