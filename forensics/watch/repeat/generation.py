"""Generation cured: what is handed to mlx-lm's functions, changed before the watcher sees it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..moments import Moments
from ..run import watch
from ..wrapping import wrap
from . import request

Function = Callable[[dict[str, Any]], str | None]
_cures: list[tuple[str, Function]] = []
_NAMES = ("generate", "stream_generate", "generate_step", "batch_generate")


def cure(name: str, function: Function) -> None:
    """Have `function(call)` change a call's arguments by name.

    It returns what it changed, None where there was nothing to change.
    """
    _cures.append((name, function))


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
