"""What the watcher put into the program's classes, modules and interpreter.

It is noted so that it can be taken out before the process ends.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any

_ABSENT = object()
_changed: list[tuple[Any, str, Any, Any]] = []  # owner, name, what stood there, what stands there now
_ends: list[Callable[[], None]] = []


def put(owner: Any, name: str, value: Any) -> None:
    """Set an attribute, and remember what stood there itself: nothing, where the owner inherited it."""
    before = vars(owner).get(name, _ABSENT)
    setattr(owner, name, value)
    _changed.append((owner, name, before, value))


def at_end(function: Callable[[], None]) -> None:
    """Call `function` once when the watch is taken out."""
    _ends.append(function)


def rebind() -> None:
    """For a watch that begins late: names that modules and notebooks hold get what stands there now."""
    _replace({id(before): (before, value) for owner, _, before, value in _changed if _is_module(owner)})


def take_back() -> None:
    """Put everything back as it was.

    Where somebody else put something over ours, theirs stays, and ours below it does nothing any more.
    """
    copies = {
        id(value): (value, before)
        for owner, _, before, value in _changed
        if _is_module(owner) and before is not _ABSENT
    }
    for owner, name, before, value in reversed(_changed):
        with contextlib.suppress(Exception):
            if vars(owner).get(name) is value:
                delattr(owner, name) if before is _ABSENT else setattr(owner, name, before)
    _changed.clear()
    for function in reversed(_ends):
        with contextlib.suppress(Exception):
            function()
    _ends.clear()
    _replace(copies)


def _replace(pairs: dict[int, tuple[Any, Any]]) -> None:
    """In the names of every module, each first object of a pair by the last that follows from it."""

    def last(value: Any) -> Any:
        while (pair := pairs.get(id(value))) is not None and pair[0] is value:
            value = pair[1]
        return value

    for module in list(sys.modules.values()):
        space = getattr(module, "__dict__", None)
        if not isinstance(space, dict) or getattr(module, "__name__", "").startswith("_forensics_watch"):
            continue
        for name, value in list(space.items()):
            if id(value) in pairs and (after := last(value)) is not value:
                space[name] = after


def _is_module(owner: Any) -> bool:
    return isinstance(owner, type(sys))
