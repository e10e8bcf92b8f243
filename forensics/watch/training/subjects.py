"""Whose gradient, whose update.

The model that a module or a tree of arrays belongs to, and when a functional program moved it.
"""

from __future__ import annotations

import weakref
from typing import Any

from .. import trees
from ..capture import phases, points
from ..models import Model
from ..run import watch
from . import steps
from .writes import root_of, wrote

_last: dict[
    str, dict[str, Any]
] = {}  # model number -> weak references to the arrays that were differentiated last

_counted: dict[
    str, tuple[int, int]
] = {}  # model number -> its updates and writes then: those since have said that arrays moved


def of_module(module: Any) -> Model | None:
    known = watch.record_of(module)
    if known is None:
        root, _ = root_of(module)
        known = watch.record_of(root) or points.model(root)
    return known


def model_of(tree: Any, *, always: bool = False) -> Model | None:
    """The model that a module, or a tree of arrays, belongs to: by its own arrays, else by names and shapes.

    A tree of its own is registered where the program has no module, or `always`.
    """
    if trees.is_module(tree):
        return of_module(tree)
    leaves = dict(trees.flatten(tree))
    if not leaves:
        return None
    shapes = {name: array.shape for name, array in leaves.items()}
    live = [
        model
        for model in watch.models
        if model.module is not None and not isinstance(model.module, trees.Tree)
    ]
    for same in (_holds, _fits):
        for record in live:
            if same(trees.parameters(record.module), leaves, shapes):
                _renewed(record, tree, leaves)
                return record
    bare = [model for model in watch.models if isinstance(model.module, trees.Tree)]
    for record in bare:
        if record.module.shapes() == shapes:
            _renewed(record, tree, leaves)
            return record
    if live and not always:
        return None
    track = points.track(tree)
    if track is not None and not watch.tracing:
        _last[track.model.number] = {name: weakref.ref(leaf) for name, leaf in leaves.items()}
    return track.model if track else None


def _renewed(record: Model, tree: Any, leaves: dict[str, Any]) -> None:
    """A functional program comes with its newest arrays.

    Others than at the gradient before were put there by an update.
    """
    if watch.tracing:
        return
    module, last = record.module, _last.get(record.number, {})
    moved = bool(last) and all(
        (array := last[name]()) is None or array is not leaf for name, leaf in leaves.items() if name in last
    )
    counted, now = _counted.get(record.number), (record.updates, record.writes)
    by_hand = (
        moved and counted in (None, now) and steps.follows_gradient(record) and not phases.is_applied(tree)
    )
    if by_hand:
        phases.before_write(module)
    if isinstance(module, trees.Tree):
        module.tree = tree
    if by_hand:
        wrote(module, "tree", list(leaves))
    elif moved:
        steps.put_in()
    _counted[record.number] = (record.updates, record.writes)  # the write that was just noted among them
    _last[record.number] = {name: weakref.ref(leaf) for name, leaf in leaves.items()}


def saved(arrays: dict[str, Any]) -> None:
    """The program saves arrays under the names and shapes of a bare tree: these are its newest."""
    shapes = {name: array.shape for name, array in trees.flatten(arrays)}
    for record in watch.models:
        if isinstance(record.module, trees.Tree) and record.module.shapes() == shapes:
            _renewed(record, arrays, dict(trees.flatten(arrays)))


def _holds(have: dict[str, Any], leaves: dict[str, Any], shapes: dict[str, Any]) -> bool:
    own = {id(array) for array in have.values()}
    return all(id(array) in own for array in leaves.values())


def _fits(have: dict[str, Any], leaves: dict[str, Any], shapes: dict[str, Any]) -> bool:
    """By names and shapes; of one array only where its name leads through a module (`lm_head.weight`)."""
    told = len(leaves) > 1 or any("." in name for name in leaves)
    return told and all(name in have and have[name].shape == shape for name, shape in shapes.items())
