"""Stands for what mlx makes of a function: a compiled function, a gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .wrapping import unseen


class Proxy:
    """Calls go through us; every attribute is that of the function it was made of, as with mlx's own objects.

    Like those it is no descriptor: as a class attribute it binds to no instance.
    """

    __slots__ = ("__dict__", "__weakref__", "_call", "_of")

    def __init__(self, of: Any, call: Callable[..., Any]) -> None:
        self._of, self._call = of, call
        self.__dict__.update(getattr(of, "__dict__", {}))  # what functools.wraps copies
        for name in ("__module__", "__doc__"):  # what the class would answer first
            self.__dict__[name] = getattr(of, name, None)

    @unseen
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)

    def __repr__(self) -> str:
        return repr(self._of)
