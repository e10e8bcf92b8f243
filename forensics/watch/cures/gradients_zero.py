"""The loss depends on the model: what cut it off lets the gradient through.

A `stop_gradient` in the program's own loss is left out, and where the loss is handed logits that were made
before it, their forward is made again in it. A tree of parameters that a loss is differentiated by is put
into the model that it is of.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import trees
from ..moments import Moments
from ..originals import getframe
from ..places import is_users
from ..proxy import Proxy
from ..repeat import request
from ..run import watch
from ..wrapping import wrap

_HELD = 4  # forwards outside of a gradient that are remembered, the last ones
_forwards: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []  # (model, args, kwargs, logits)


def _through(original: Callable[..., Any]) -> Callable[..., Any]:
    def stop_gradient(*args: Any, **kwargs: Any) -> Any:
        if watch.local.gradient and is_users(getframe(1).f_code.co_filename):
            request.acted("gradients-zero", "stop_gradient left out of the loss")
            return args[0] if args else kwargs["a"]
        return original(*args, **kwargs)

    return stop_gradient


def _call(original: Callable[..., Any]) -> Callable[..., Any]:
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        logits = original(self, *args, **kwargs)
        if not (watch.local.gradient or watch.local.quiet or watch.tracing) and trees.is_array(logits):
            _forwards.append((self, args, kwargs, logits))
            del _forwards[:-_HELD]
        return logits

    return __call__


def _nn(original: Callable[..., Any]) -> Callable[..., Any]:
    def value_and_grad(model: Any, fn: Callable[..., Any]) -> Any:
        if trees.is_module(model):
            wrap(type(model), "__call__", _call)
        handed: dict[Any, Callable[[], Any]] = {}  # by place or name in the call under way

        @functools.wraps(fn)
        def loss(*args: Any, **kwargs: Any) -> Any:
            again = [handed[n]() if n in handed else each for n, each in enumerate(args)]
            return fn(*again, **{n: handed[n]() if n in handed else each for n, each in kwargs.items()})

        function = original(model, loss)

        def call(*args: Any, **kwargs: Any) -> Any:
            handed.clear()  # mlx hands the loss other objects for the same arrays: looked for here
            for name, given in (*enumerate(args), *kwargs.items()):
                if (again := _forward(model, given)) is not None:
                    handed[name] = again
                    request.acted("gradients-zero", "the forward whose logits the loss is handed made in it")
            return function(*args, **kwargs)

        return Proxy(function, call)

    return value_and_grad


def _core(original: Callable[..., Any]) -> Callable[..., Any]:
    """mlx.core's own functions, of the program: the tree is the first argument."""

    def maker(fun: Callable[..., Any], argnums: Any = None, *args: Any, **kwargs: Any) -> Any:
        own = not str(getattr(fun, "__module__", "")).startswith("mlx.")  # nn.value_and_grad does so itself
        by_tree = argnums in (None, 0) and own
        return original(_put_in(fun) if by_tree else fun, argnums, *args, **kwargs)

    return maker


def _put_in(fun: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fun)
    def loss(*args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], dict) and (module := _of(args[0])) is not None:
            module.update(args[0])
            request.acted("gradients-zero", "the parameters that the loss is handed put into the model")
        return fun(*args, **kwargs)

    return loss


def _of(tree: dict[str, Any]) -> Any:
    """The model whose trainable tensors a tree has, by name and shape; None where there is not just one."""
    names = {name: array.shape for name, array in trees.flatten(tree)}
    found = [
        model.module
        for model in watch.models
        if trees.is_module(model.module)
        and {name: array.shape for name, array in trees.trainable(model.module).items()} == names
    ]
    return found[0] if len(found) == 1 else None


def _forward(model: Any, given: Any) -> Callable[[], Any] | None:
    """The forward that gave these logits, None where they came from elsewhere."""
    for module, args, kwargs, logits in _forwards:
        if given is logits and module is model:
            return functools.partial(model, *args, **kwargs)
    return None


def _patch(module: Any) -> None:
    wrap(module, "stop_gradient", _through)
    for name in ("value_and_grad", "grad"):
        wrap(module, name, _core)


def install(run: Moments) -> None:
    run.patch("mlx.core", _patch)
    run.patch("mlx.nn", lambda module: wrap(module, "value_and_grad", _nn))
