"""Phases of training: the `start` before the first update of each, and what updates and writes leave due."""

from __future__ import annotations

import weakref
from typing import Any

from .. import trees
from ..moments import moments, name_of
from ..originals import threading
from ..places import where
from ..run import safely, watch
from . import boundaries, digests, dropped, points, registry
from .registry import Track, optimizer_number

_applied: list[Any] = []  # weak references to arrays that apply_gradients returned last


@safely
def gradient_made(module: Any) -> None:
    """A new gradient function of this model: after an `end`, another phase begins with its first update."""
    track = points.track(module)
    if track:
        track.renewed, track.thread = True, threading.get_ident()


@safely
def before_update(
    module: Any, references: dict[str, Any] | None = None, optimizer: Any = None, as_it_was: Any = None
) -> None:
    """An update is about to be applied: take `start` where this phase has none.

    Args:
        references: parameter arrays by name, held from before a compiled step ran; else the live module is
        read.
        optimizer: the optimizer that updates, where known: a new one, with a new gradient function or after
        an `end`, begins another phase.
        as_it_was: a stand-in for the optimizer, where it has been used already (in a compiled step) since.
    """
    if watch.tracing:
        return
    track = points.track(module)
    if track is None:
        return
    track.thread = threading.get_ident()
    another = optimizer is not None and optimizer_number(optimizer) not in track.optimizers
    if (track.ended and (track.renewed or another)) or (track.optimizers and track.renewed and another):
        track.started = False
    if optimizer is not None:
        track.optimizers[optimizer_number(optimizer)] = registry.used(optimizer)
    if not track.started:
        track.kin = (0, [])  # modules may have been put elsewhere since
        for other, path, below in registry.kin(track):
            if not other.started:
                _start(other, None if references is None else _renamed(references, path, below))
        _start(track, references, {} if as_it_was is None else {optimizer_number(optimizer): as_it_was})


def _renamed(references: dict[str, Any], path: str, below: bool) -> dict[str, Any]:
    """Arrays under the names that another model has for them.

    That model stands at `path` below this one, or has this one there.
    """
    if below:
        return {
            name.removeprefix(f"{path}."): array
            for name, array in references.items()
            if name.startswith(f"{path}.")
        }
    return {f"{path}.{name}": array for name, array in references.items()}


def _start(track: Track, references: dict[str, Any] | None, optimizers: dict[str, Any] | None = None) -> None:
    digests.forget()
    _converted_by_hand(track)
    track.started, track.ended, track.renewed = True, False, False
    track.phase += 1
    while moments.first_updates:
        function = moments.first_updates.pop(0)
        with watch.looking(f"first update of {name_of(function)}"), watch.lock.released():
            function()
    track.last_start = points.take(track, "start", references=references, optimizers=optimizers)
    for item in moments.starts if references is None else ():  # else the update is applied already
        with watch.looking(f"start of {name_of(item)}"), watch.lock.released():
            item(track.model)


@safely
def after_update(module: Any, optimizer: Any, count: int = 1) -> None:
    """`count` updates were applied: an `end` is due, and `step-N` where --every asks for it."""
    track = points.track(module)
    if track is None or count <= 0:
        return
    dropped.catch_up()
    digests.forget()
    record = track.model
    record.updates += count
    record.rewritten = 0
    record.last_place = where() or record.last_place
    track.dirty, track.thread = True, threading.get_ident()
    for other, _, _ in registry.kin(track):
        other.model.updates += count
        other.model.rewritten = 0
        other.dirty = True
    if optimizer is not None:
        track.optimizers[optimizer_number(optimizer)] = registry.used(optimizer)
    every = watch.options.get("every")
    before = record.updates - count
    due = (every is not None and every > 0 and record.updates // every != before // every) or any(
        before < item <= record.updates for item in watch.options.get("at") or ()
    )
    if due and not watch.tracing:
        boundaries.flush()
        points.take(track, f"step-{record.updates}")


@safely
def before_write(module: Any, references: dict[str, Any] | None = None) -> None:
    """Parameters are about to be written outside an optimizer.

    With a gradient before it, that is an update of its own kind.
    """
    track = registry.find(module)
    if track and not track.started and (track.renewed or track.model.gradients) and not watch.tracing:
        _start(track, references)


@safely
def written(module: Any, same: bool = False) -> None:
    """Parameters were written outside an optimizer: once training has begun, an `end` is due.

    `same`: the arrays that were put in place stood there before.
    """
    digests.forget()
    track = registry.find(module)
    if track and track.started:
        for item in (track, *(other for other, _, _ in registry.kin(track))):
            item.model.writes += 1
            item.model.rewritten += not same
            item.dirty = True


@safely
def before_cast(module: Any) -> None:
    """Parameters are about to be put into another type.

    An `end` that is due is the model after its last update, so it is taken now; programs that cast to and fro
    at each step are spared after the first two.
    """
    track = registry.find(module)
    if track and track.started and track.dirty and track.wholes.get("end", 0) < boundaries.WHOLE:
        boundaries.boundary("convert")


@safely
def cast(module: Any) -> None:
    """Parameters stand in another type now: nothing was trained by that, and nothing is due."""
    digests.forget()


def applied(tree: Any) -> None:
    """`Optimizer.apply_gradients` returned these parameters.

    Writing them into a module is an update, and no write by hand.
    """
    _applied[:] = [weakref.ref(array) for array in trees.leaves(tree)]


def is_applied(tree: Any) -> bool:
    """Did some of these arrays come from the newest `apply_gradients`?"""
    given = {id(array) for array in trees.leaves(tree)}
    return any((array := record()) is not None and id(array) in given for record in _applied)


def is_cast(tree: Any) -> bool:
    """Are these arrays, one by one, what the newest `apply_gradients` returned, in another type?"""
    leaves, made = trees.leaves(tree), [record() for record in _applied]
    return len(made) == len(leaves) > 0 and all(
        array is not None and array.shape == leaf.shape and array.dtype != leaf.dtype
        for array, leaf in zip(made, leaves, strict=True)
    )


def _converted_by_hand(track: Track) -> None:
    """Adapters that came without a conversion function: seen by structure before the first update."""
    before, track.adapters = track.adapters, trees.adapters(track.model.module)
    for function in moments.phases:
        with watch.looking(f"phase of {name_of(function)}"):
            function(track.model, before, track.adapters)
    if track.adapters != before:
        points.take(track, "adapted")
