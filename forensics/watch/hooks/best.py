"""What a program measures between updates, and the best of it that it keeps: numbers under its own names.

They are read at an update that forwards outside of its gradients came before, and at safe moments; nothing is
called.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ..capture import facts
from ..capture.tensors import computed
from ..models import Model
from ..moments import Moments
from ..originals import math
from ..run import watch
from ..training import steps
from ..training.event import Event
from ..trees import is_array
from . import adapterspec

_BEST = re.compile(r"(^|_)(best|lowest|highest)(_|$)")
_MEASURED = re.compile(r"(^|_)(val|valid|validation|eval|dev|heldout|held_out)(_|$)")
_NO_MEASURE = re.compile(r"(^|_)(steps?|epoch|iter|index|path|every|size|batch|batches|seconds|time)(_|$)")
_LOWER = re.compile(r"(^|_)(loss|losses|ppl|perplexity|nll|ce|error)(_|$)")
_GIVE_UP = 8  # looks that found nothing, after which there is none
_LIMIT = 1000  # values looked at

_last: dict[tuple[int, str], float] = {}  # (id of the holder, name) -> value
_empty = 0


def look(model: Model | None, updates: int | None) -> None:
    """Write what changed since the last look.

    `updates`: of the model, when it was measured; None: not known.
    """
    global _empty
    if _empty >= _GIVE_UP or watch.tracing:
        return
    found = False
    for holder, name, value, best in _numbers():
        found = True
        measured = value if math.isfinite(value) else None
        if not best and updates is None:
            continue
        if _last.get((holder, name)) != value:
            _last[holder, name] = value
            watch.event(
                "measure", model, None, name=name, value=measured, best=best,
                lower=True if _LOWER.search(name) else None,
                updates=updates,
            )  # fmt: skip
    _empty = 0 if found else _empty + 1


def _numbers() -> Iterator[tuple[int, str, float, bool]]:
    """(id of the holder, name, value, is it the best) in the user's modules, frames and objects there."""
    left, looked = _LIMIT, set[int]()
    for space, place in adapterspec.spaces():
        pending = [(hash(place.rpartition(":")[0]), space, 0)]
        while pending and left > 0:
            holder, values, depth = pending.pop()
            for name, value in list(values.items()):
                left -= 1
                if not isinstance(name, str) or left < 0:
                    continue
                number = _number(value)
                kind = _kind(name.lower()) if number is not None else None
                if number is not None and kind is not None:
                    yield holder, name.lower()[:40], number, kind
                elif depth < 2 and id(value) not in looked and (inner := adapterspec.held(value)) is not None:
                    looked.add(id(value))
                    pending.append((id(value), inner, depth + 1))


def _kind(name: str) -> bool | None:
    """Is a number of this name the best that is kept (True), measured (False), or neither?"""
    if _NO_MEASURE.search(name):
        return None
    return True if _BEST.search(name) else False if _MEASURED.search(name) else None


def _number(value: Any) -> float | None:
    if isinstance(value, float):
        return value
    if is_array(value) and value.size == 1 and computed(value):
        number = facts.number(value)
        return number if isinstance(number, float) else None
    return None


def _updated(event: Event) -> None:
    """What the program measured before the step that ends here is still under its names."""
    step = steps.local.done[-1] if steps.local.done else None
    if step is None or step.update is not event:
        return
    if any(gradient.arrays.get("before") for gradient in step.gradients):
        with watch.looking("the best that is kept"):
            look(step.model, step.number - 1)


def _at_boundary() -> None:
    waiting = steps.local.forwards
    model = waiting[-1].model if waiting else None
    look(model, model.updates if model is not None else None)


def install(run: Moments) -> None:
    run.on_update(_updated)
    run.on_boundary(_at_boundary)
