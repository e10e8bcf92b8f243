"""Generation cured: what is handed to mlx-lm's functions, changed before the watcher sees it.

So are the calls of a model that a loop of the program's own makes, outside of a gradient.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..generation.record import free
from ..moments import Moments
from ..run import watch
from ..trees import is_module
from ..wrapping import wrap
from . import request

Function = Callable[[dict[str, Any]], str | None]
_cures: list[tuple[str, Function]] = []
_calls: list[tuple[str, Function]] = []
_NAMES = ("generate", "stream_generate", "generate_step", "batch_generate")


def cure(name: str, function: Function) -> None:
    """Have `function(call)` change a call's arguments by name.

    It returns what it changed, None where there was nothing to change.
    """
    _cures.append((name, function))


def cure_call(name: str, function: Function) -> None:
    """Have `function({"model": module, "prompt_cache": cache})` change what a forward is about to read."""
    _calls.append((name, function))


def _forward(original: Callable[..., Any]) -> Callable[..., Any]:
    def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:
        cache = kwargs.get("cache", args[1] if len(args) > 1 and isinstance(args[1], (list, tuple)) else None)
        if cache is not None and free() and watch.record_of(self) is not None:
            request.cure(_calls, {"model": self, "prompt_cache": cache})
        return original(self, *args, **kwargs)

    return __call__


def _seen(model: Any) -> None:
    if is_module(model.module) and any("__call__" in vars(base) for base in type(model.module).__mro__):
        wrap(type(model.module), "__call__", _forward)


def _cured(original: Callable[..., Any]) -> Callable[..., Any]:
    def generate(*args: Any, **kwargs: Any) -> Any:
        if watch.local.quiet:
            return original(*args, **kwargs)
        try:
            call = inspect.signature(original).bind(*args, **kwargs)
        except TypeError:
            return original(*args, **kwargs)
        request.cure(_cures, call.arguments)
        return original(*call.args, **call.kwargs)

    return generate


def _module(module: Any) -> None:
    for name in _NAMES:
        wrap(module, name, _cured)


def install(run: Moments) -> None:
    if _cures:
        run.patch("mlx_lm.generate", _module)
    if _calls:
        run.on_sight(_seen)
