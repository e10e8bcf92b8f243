"""The model that was trained answers, with what it was taught.

It stands in for an untrained copy of it; and where its own tensors were replaced after the last update, those
that this update left are put back.
"""

from __future__ import annotations

from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import generation, updates
from ..run import watch

_taught: dict[int, tuple[int, dict[str, Any]]] = {}
"""By model: the updates that it had, and its trainable tensors at the first use after the last of them."""


def fresh(call: dict[str, Any]) -> str | None:
    given, trained = call.get("model"), updates.trained()
    if trained is None or type(given) is not type(trained):
        return None
    if given is trained:
        return _restored(given)
    shapes = [
        {name: array.shape for name, array in trees.parameters(item).items()} for item in (given, trained)
    ]
    if shapes[0] != shapes[1]:
        return None
    call["model"] = trained
    return "the trained model answers"


def _note() -> None:
    """At a save, an answer or the end: nothing but the program's own writing moves the tensors after it."""
    for model in watch.models:
        if trees.is_module(model.module) and model.updates:
            count, _ = _taught.get(id(model.module), (0, {}))
            if model.updates > count:
                _taught[id(model.module)] = model.updates, dict(trees.trainable(model.module))


def _restored(module: Any) -> str | None:
    _, taught = _taught.get(id(module), (0, {}))
    now = trees.parameters(module)
    moved = [(name, each) for name, each in taught.items() if name in now and now[name] is not each]
    if not moved:
        return None
    module.update(trees.unflatten(moved))
    return f"{len(moved)} tensors put back as the last update left them"


def install(run: Moments) -> None:
    run.on_boundary(_note)
    generation.cure("stale-model-in-generation", fresh)
