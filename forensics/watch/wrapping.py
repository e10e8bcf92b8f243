"""How a function of a library is replaced by one that calls it and is looked at."""

from __future__ import annotations

import contextlib
import functools
import sys
import weakref
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from . import changes
from .originals import inspect

HIDDEN = "<forensics: importlib._bootstrap>"
"""The file name of functions that stand between the program and what it calls."""


_F = TypeVar("_F", bound=Callable[..., Any])
Maker = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Makes of a function what stands in its place."""


def unseen(function: _F) -> _F:
    """The same function, whose frame Python leaves out where it counts a caller's frames.

    It does so with the frames of an import.

    `warnings.warn(stacklevel=2)` and a logger's `stacklevel` in code that we call then name the program's
    line: both skip files with these two words in their name.
    """
    function.__code__ = function.__code__.replace(co_filename=HIDDEN)
    return function


def weakly(item: Any) -> Callable[[], Any]:
    """A weak reference; a strong one for the few kinds of object that allow none."""
    try:
        return weakref.ref(item)
    except TypeError:
        return lambda: item


def wrap(owner: Any, name: str, make: Maker) -> None:
    """Replace `owner.name` by `make(original)`, and every copy that another module imported before.

    The wrapper must pass *args and **kwargs through as they came, and put every observation into
    `watch.looking`. Several hooks may wrap one function, each once; the later stands outside.
    """
    original = getattr(owner, name, None)
    makers: tuple[Any, ...] = getattr(original, "__forensics__", ())
    if original is None or make in makers:
        return
    wrapper = make(original)
    if hasattr(wrapper, "__code__"):
        unseen(wrapper)
    with contextlib.suppress(Exception):
        functools.update_wrapper(wrapper, original)
    wrapper.__forensics__ = (*makers, make)  # type: ignore[attr-defined]
    changes.put(owner, name, wrapper)
    if isinstance(owner, type(sys)):
        for module in list(sys.modules.values()):
            space = getattr(module, "__dict__", None)
            if space is not None and space.get(name) is original:
                changes.put(module, name, wrapper)


def wrap_methods(module: Any, base: type, makers: Mapping[str, Maker]) -> None:
    """`wrap` methods by name on a class and its subclasses in a module, wherever one defines its own."""
    for cls in list(vars(module).values()):
        if isinstance(cls, type) and issubclass(cls, base):
            for name, make in makers.items():
                if name in vars(cls):
                    wrap(cls, name, make)


def bound(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The call's arguments by name, defaults filled in; empty where they do not bind."""
    try:
        call = inspect.signature(function).bind(*args, **kwargs)
        call.apply_defaults()
        return dict(call.arguments)
    except (TypeError, ValueError):
        return {}
