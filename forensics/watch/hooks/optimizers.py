"""Where the program makes its optimizers: the line to mend where a rate or a decay is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from ..moments import Moments
from ..places import where
from ..run import watch
from ..training.event import Event
from ..wrapping import wrap

_said: set[tuple[str, str]] = set()  # model and optimizer that an event stands for
_made: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def applied(event: Event) -> None:
    """An update was applied: say once, for each pair of model and optimizer, where that was made."""
    record, used = event.model, event.facts.get("optimizer")
    if event.kind != "update" or record is None or used is None or (record.number, used.number) in _said:
        return
    _said.add((record.number, used.number))
    if (place := made(used.here)) is not None:
        watch.event("optimizer", record, place, optimizer=event.facts["class"])


def made(optimizer: Any) -> str | None:
    """file:line of the user's program that made it; None where a library did, or it was there before us."""
    try:
        return _made.get(optimizer)
    except TypeError:  # what it left, or one of a class of its own that allows no weak reference
        return None


def _init(original: Callable[..., Any]) -> Callable[..., Any]:
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if watch.on and not watch.local.quiet:
            with watch.looking("optimizer made"):
                place = where()
                if place is not None:
                    _made[self] = place

    return __init__


def install(run: Moments) -> None:
    run.on_update(applied)
    run.patch("mlx.optimizers", lambda module: wrap(module.Optimizer, "__init__", _init))
