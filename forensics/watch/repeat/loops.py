"""Training functions of the program as it calls them.

Their losses are kept, and training ends after some updates.

What is done after the last update that `--steps` allows is gone through without computing: a gradient
function gives its last loss and gradients of zero, an optimizer changes nothing, and the program saves and
asks as it would at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import trees
from ..moments import Moments
from ..originals import threading
from ..proxy import Proxy
from ..run import watch
from ..training.event import Event
from ..trees import mx
from ..wrapping import wrap, wrap_methods
from . import request


class _Local(threading.local):
    def __init__(self) -> None:
        # of each compiled call under way: does it hold a gradient or an update?
        self.compiled: list[bool] = []


_local = _Local()
_on_loss: list[Callable[[Any], None]] = []
_count = [0]
_places: list[str | None] = [None]


def done() -> int:
    """Updates so far, of all models."""
    return _count[0]


def last() -> str | None:
    """The line of the last update."""
    return _places[0]


def on_loss(function: Callable[[Any], None]) -> None:
    """Call `function(array)` with each loss that a training function of the program gives, a scalar."""
    _on_loss.append(function)


def _over() -> bool:
    most = request.repeat().get("steps")
    return most is not None and _count[0] >= most and not watch.local.quiet


class _Function:
    """One training function, and what it gave last."""

    def __init__(self, original: Callable[..., Any], compiled: bool) -> None:
        self.original, self.compiled = original, compiled
        self.trains, self.called, self.last = not compiled, False, None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.trains and self.called and _over() and not watch.tracing:
            return _filled(self.last)
        if not self.compiled and _local.compiled:
            _local.compiled[-1] = True
        _local.compiled.append(False)
        try:
            result = self.original(*args, **kwargs)
        finally:
            trains = _local.compiled.pop()
        self.trains = self.trains or trains
        if self.trains and not watch.tracing and not watch.local.quiet:
            self.called, self.last = True, _outline(result)
            for _, leaf in trees.flatten(result):
                if leaf.size == 1:
                    for function in _on_loss:
                        function(leaf)
                    break
        return result


def _outline(value: Any) -> Any:
    """A result without its large arrays, of which shape and type are kept."""
    if trees.is_array(value):
        return value if value.size == 1 else _Empty(value.shape, value.dtype)
    if isinstance(value, dict):
        return {key: _outline(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(map(_outline, value))
    return value


class _Empty:
    def __init__(self, shape: Any, dtype: Any) -> None:
        self.shape, self.dtype = shape, dtype


def _filled(value: Any) -> Any:
    if isinstance(value, _Empty):
        return mx().zeros(value.shape, value.dtype)
    if isinstance(value, dict):
        return {key: _filled(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(map(_filled, value))
    return value


def _constructor(compiled: bool) -> Callable[..., Any]:
    """Of a function that makes one: mx.value_and_grad, mx.grad, mx.compile."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def maker(*args: Any, **kwargs: Any) -> Any:
            function = original(*args, **kwargs)
            if not isinstance(function, Proxy):  # a kernel of mlx's own
                return function
            return Proxy(function, _Function(function, compiled))

        return maker

    return make


_gradient, _compile = _constructor(False), _constructor(True)


def _update(original: Callable[..., Any]) -> Callable[..., Any]:
    def update(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _local.compiled:
            _local.compiled[-1] = True
        return None if _over() and not watch.tracing else original(self, *args, **kwargs)

    return update


def _apply(original: Callable[..., Any]) -> Callable[..., Any]:
    def apply_gradients(self: Any, gradients: Any, parameters: Any) -> Any:
        return parameters if _over() and not watch.tracing else original(self, gradients, parameters)

    return apply_gradients


def _updated(event: Event) -> None:
    _count[0] += 1
    _places[0] = event.place


def _core(module: Any) -> None:
    for name in ("value_and_grad", "grad"):
        wrap(module, name, _gradient)
    wrap(module, "compile", _compile)


def _optimizers(module: Any) -> None:
    wrap_methods(module, module.Optimizer, {"update": _update, "apply_gradients": _apply})


def install(run: Moments) -> None:
    run.on_update(_updated)
    run.patch("mlx.core", _core)
    run.patch("mlx.optimizers", _optimizers)
