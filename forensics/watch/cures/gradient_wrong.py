"""A function with a backward pass of the program's own is differentiated by mlx instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import changes
from ..moments import Moments
from ..places import is_users
from ..repeat import request


class _Plain:
    """Stands for `mx.custom_function`: what it is given as derivatives is left out."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def vjp(self, function: Callable[..., Any]) -> Callable[..., Any]:
        request.acted("gradient-wrong", "a backward pass of the program's own left to mlx")
        return function

    def jvp(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function

    def vmap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function


def _core(module: Any) -> None:
    original = module.custom_function

    def custom_function(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        code = getattr(function, "__code__", None)
        if code is None or not is_users(code.co_filename):
            return original(function, *args, **kwargs)
        return _Plain(function)

    changes.put(module, "custom_function", custom_function)


def install(run: Moments) -> None:
    run.patch("mlx.core", _core)
