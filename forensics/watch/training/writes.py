"""Parameters that are written outside an optimizer, and the model whose they are."""

from __future__ import annotations

from typing import Any

from .. import trees
from ..capture import phases
from ..run import watch
from . import steps

_said: set[tuple[Any, ...]] = set()  # writes that an event stands for


def root_of(module: Any) -> tuple[Any, str]:
    """The known model that holds this module, and the path to it; else the module itself."""
    for record in watch.models:
        if record.module is not None and not isinstance(record.module, trees.Tree):
            path = trees.path_below(record.module, module)
            if path is not None:
                return record.module, path
    return module, ""


def wrote(module: Any, via: str, names: list[str], same: bool = False, cast: bool = False) -> None:
    """Parameters were written outside an optimizer: an event for each kind of write, counted all.

    After a gradient it is a step. `cast`: what was written is what stood there, in another type.
    """
    record = watch.record_of(module)
    if record is not None:
        trained = trees.trainable(module)
        frozen, after = sum(name not in trained for name in names), record.gradients > 0 or record.updates > 0
        mark = (record.number, via, len(names), frozen, after, cast)
        if mark not in _said:
            _said.add(mark)
            watch.event(
                "write",
                record,
                None,
                via=via,
                leaves=len(names),
                frozen_leaves=frozen,
                after_gradient=after,
                cast=cast,
            )
        phases.cast(module) if cast else phases.written(module, same)
        if steps.follows_gradient(record):
            steps.emit(steps.by_hand(record, names))
