"""Two weights that were one when training began stay one: each gets the gradient of both."""

from __future__ import annotations

from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import training, updates

_pairs: list[tuple[str, str]] = []


def tied(module: Any) -> str | None:
    held: dict[int, str] = {}
    for name, array in trees.parameters(module).items():
        first = held.setdefault(id(array), name)
        if first != name:
            _pairs.append((first, name))
    return None


def together(update: updates.Update) -> str | None:
    both = [pair for pair in _pairs if all(name in update.gradients for name in pair)]
    for first, second in both:
        whole = update.gradients[first] + update.gradients[second]
        update.gradients[first] = update.gradients[second] = whole
    return f"{both[0][0]} and {both[0][1]} updated as one" if both else None


def install(run: Moments) -> None:
    training.cure(run, "tie-broken", tied)
    updates.cure(run, "tie-broken", before=together)
