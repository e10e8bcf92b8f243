"""The points of a run: when a model is captured, and what the taps tell and ask.

A model is known from the first hook that sees it. `start` comes before its first update; updates make it dirty; the first
safe moment after that (a save, a generation, a fuse, a load, the exit) takes `end`. Nothing here raises.
"""

from __future__ import annotations

import functools
import threading
import weakref
from typing import Any

from .. import trees
from ..models import Model
from ..moments import Moments, moments, name_of
from ..places import where
from ..run import safely, watch
from . import dropped, registry, snapshot
from .registry import Track, optimizer_number, tokenizer_seen

__all__ = [
    "adapted", "after_update", "applied", "before_update", "before_write", "boundary",
    "capture_number_of", "finish", "flush", "generating", "gradient_made", "install", "is_applied", "judged",
    "loaded", "model", "optimizer_number", "tokenizer_seen", "track", "with_tokenizer", "written",
]  # fmt: skip

_WHOLE = 2  # so many `end` and `generate-N` captures are whole while training may go on
_ENDING = {"save", "generate", "fuse", "load", "convert", "exit"}

_applied: list[Any] = []  # weak references to arrays that apply_gradients returned last


# -- models --------------------------------------------------------------------------------------------------------------


@safely
def track(module: Any, via: str = "first sight") -> Track | None:
    """The track of a module or bare tree of arrays; one that was not known is `loaded` now. None where it holds no arrays."""
    module = registry.rooted(module)
    if module is None:
        return None
    found, _ = registry.register(module)
    if found.last is None and _take(found, "loaded"):
        registry.copied(found)
        registry.write()
    return found


def model(module: Any, via: str = "first sight") -> Model | None:
    """The record of a module, which is registered where it was not known."""
    found = track(module, via)
    return found.model if found else None


@safely
def loaded(
    module: Any,
    via: str,
    path: str | None = None,
    tokenizer: Any = None,
    adapter_path: str | None = None,
    config: Any = None,
) -> None:
    """A model came back from a loader: register it, and capture `loaded`."""
    if registry.rooted(module) is None:
        return
    snapshot.forget()
    found, _ = registry.register(registry.rooted(module))
    registry.describe(found.model, path, tokenizer, adapter_path, config)
    found.adapters = trees.adapters(found.model.module)
    _take(found, "loaded")
    registry.write()


@safely
def with_tokenizer(module: Any, tokenizer: Any, path: str | None = None) -> None:
    """This tokenizer was used with this model."""
    root = registry.rooted(module)
    if root is not None and tokenizer is not None:
        record = registry.register(root)[0].model  # before `loaded` is taken, so that its probes can be asked
        record.tokenizer, record.tokenizer_path = tokenizer, path or record.tokenizer_path
        track(root)


@safely
def adapted(module: Any) -> None:
    """Adapter layers were put in: capture `adapted`."""
    found = track(module)
    if found:
        snapshot.forget()
        found.adapters = trees.adapters(found.model.module)
        _take(found, "adapted")


# -- training ------------------------------------------------------------------------------------------------------------


@safely
def gradient_made(module: Any) -> None:
    """A new gradient function of this model: after an `end`, another phase begins with its first update."""
    found = track(module, "value_and_grad")
    if found:
        found.renewed, found.thread = True, threading.get_ident()


@safely
def before_update(
    module: Any, references: dict[str, Any] | None = None, optimizer: Any = None, as_it_was: Any = None
) -> None:
    """An update is about to be applied: take `start` where this phase has none.

    Args:
        references: parameter arrays by name, held from before a compiled step ran; else the live module is read.
        optimizer: the optimizer that updates, where known: a new one, with a new gradient function or after an `end`,
            begins another phase.
        as_it_was: a stand-in for the optimizer, where it has been used already (in a compiled step) since.
    """
    if watch.tracing:
        return
    found = track(module, "update")
    if found is None:
        return
    found.thread = threading.get_ident()
    another = optimizer is not None and optimizer_number(optimizer) not in found.optimizers
    if (found.ended and (found.renewed or another)) or (found.optimizers and found.renewed and another):
        found.started = False
    if optimizer is not None:
        found.optimizers[optimizer_number(optimizer)] = registry.used(optimizer)
    if not found.started:
        found.kin = (0, [])  # modules may have been put elsewhere since
        for other, path, below in registry.kin(found):
            if not other.started:
                _start(other, None if references is None else _renamed(references, path, below))
        _start(found, references, {} if as_it_was is None else {optimizer_number(optimizer): as_it_was})


def _renamed(references: dict[str, Any], path: str, below: bool) -> dict[str, Any]:
    """Arrays by the names that another model has for them, which stands at `path` below this one, or has this one there."""
    if below:
        return {
            name.removeprefix(f"{path}."): array
            for name, array in references.items()
            if name.startswith(f"{path}.")
        }
    return {f"{path}.{name}": array for name, array in references.items()}


def _start(found: Track, references: dict[str, Any] | None, optimizers: dict[str, Any] | None = None) -> None:
    snapshot.forget()
    _converted_by_hand(found)
    found.started, found.ended, found.renewed = True, False, False
    found.phase += 1
    while moments.first_updates:
        function = moments.first_updates.pop(0)
        with watch.looking(f"first update of {name_of(function)}"), watch.lock.released():
            function()
    _take(found, "start", references=references, optimizers=optimizers)


@safely
def after_update(module: Any, optimizer: Any, count: int = 1) -> None:
    """`count` updates were applied: an `end` is due, and `step-N` where --every asks for it."""
    found = track(module, "update")
    if found is None or count <= 0:
        return
    dropped.catch_up()
    snapshot.forget()
    record = found.model
    record.updates += count
    record.last_place = where() or record.last_place
    found.dirty, found.thread = True, threading.get_ident()
    for other, _, _ in registry.kin(found):
        other.model.updates += count
        other.dirty = True
    if optimizer is not None:
        found.optimizers[optimizer_number(optimizer)] = registry.used(optimizer)
    every = watch.options.get("every")
    if every and not watch.tracing and record.updates // every != (record.updates - count) // every:
        flush()
        _take(found, f"step-{record.updates}")


@safely
def before_write(module: Any, references: dict[str, Any] | None = None) -> None:
    """Parameters are about to be written outside an optimizer: with a gradient before it, that is an update of its own kind."""
    found = registry.find(module)
    if found and not found.started and (found.renewed or found.model.gradients) and not watch.tracing:
        _start(found, references)


@safely
def written(module: Any) -> None:
    """Parameters were written outside an optimizer: once training has begun, an `end` is due."""
    snapshot.forget()
    found = registry.find(module)
    if found and found.started:
        for each in (found, *(other for other, _, _ in registry.kin(found))):
            each.model.writes += 1
            each.dirty = True


def applied(tree: Any) -> None:
    """`Optimizer.apply_gradients` returned these parameters: writing them into a module is an update, not a write."""
    _applied[:] = [weakref.ref(array) for _, array in trees.flatten(tree)]


def is_applied(tree: Any) -> bool:
    """Did some of these arrays come from the newest `apply_gradients`?"""
    given = {id(array) for _, array in trees.flatten(tree)}
    return any((array := each()) is not None and id(array) in given for each in _applied)


def _converted_by_hand(found: Track) -> None:
    """Adapters that came without a conversion function: seen by structure before the first update."""
    before, found.adapters = found.adapters, trees.adapters(found.model.module)
    for function in moments.phases:
        with watch.looking(f"phase of {name_of(function)}"):
            function(found.model, before, found.adapters)
    if found.adapters != before:
        _take(found, "adapted")


# -- safe moments --------------------------------------------------------------------------------------------------------


def flush() -> None:
    """Run the flushers of the taps, each of which evaluates no more than this thread's own."""
    if not watch.tracing:
        for function in list(moments.boundaries):
            with watch.looking(f"flush of {name_of(function)}"), watch.lock.released():
                function()


@safely
def boundary(reason: str, module: Any = None) -> None:
    """A safe moment: before a save, generate, fuse, load, convert, evaluate or exit. Takes `end` of each dirty model."""
    if watch.tracing or watch.local.gradient:
        return
    dropped.catch_up()
    snapshot.forget()
    flush()
    if module is not None:
        track(module, reason)
    if reason in _ENDING:
        for found in list(registry.tracks.values()):
            if found.dirty and found.mine:
                _end(found, reason)
    registry.write()


@safely
def judged(step: int) -> None:
    """A step can be judged from what is on disk now: everything is written that a tap still holds of it."""
    flush()
    registry.write()
    watch.row("judged", step=step)


def _end(found: Track, reason: str) -> None:
    whole = reason == "exit" or found.wholes.get("end", 0) < _WHOLE
    found.last_end = _take(found, "end", whole=whole, everything=whole)
    found.dirty, found.ended = False, True
    if whole:
        found.wholes["end"] = found.wholes.get("end", 0) + 1


@safely
def generating(module: Any) -> int | None:
    """The number of the capture that stands for the model as this generation uses it."""
    if watch.tracing or watch.local.gradient:
        return None
    boundary("generate", module)
    found = track(module, "generate")
    if found is None:
        return None
    found.model.generations += 1
    if not found.mine:  # it is trained elsewhere meanwhile: what this generation uses cannot be read
        return None
    if found.last is None or not _unchanged(found, found.last):
        whole, before = found.wholes.get("generate", 0) < _WHOLE, found.last
        if _take(found, f"generate-{found.model.generations}", whole=whole, unlike=before) is not before:
            found.wholes["generate"] = found.wholes.get("generate", 0) + whole
    return found.last.number if found.last else None


def capture_number_of(module: Any) -> int | None:
    """The number of the newest capture of this model."""
    found = registry.find(module)
    return found.last.number if found and found.last else None


def _follow(record: Model) -> None:
    if trees.is_module(record.module):
        dropped.follow(record.module, functools.partial(_dropped, record))


@safely
def _dropped(record: Model, module: Any) -> None:
    """The program drops a model: take the `end` that is due, and let go of what came with it."""
    found = registry.tracks[record.number]
    record.again(module)
    snapshot.forget()
    flush()
    end = found.last_end
    if found.dirty or (end is not None and not end.whole and snapshot.parameters(module) == end.parameters):
        _end(found, "exit")
    found.optimizers.clear()
    found.kin = (0, [])
    record.tokenizer = None
    for function in moments.drops:
        function(record)
    registry.write()


@safely
def finish() -> None:
    """The program ends: take what is due, look for models that no hook saw, let the taps write their last rows."""
    dropped.catch_up()
    boundary("exit")
    for found in list(registry.tracks.values()):
        end, module = found.last_end, found.model.module
        if (
            end is not None
            and not end.whole
            and module is not None
            and found.mine
            and snapshot.parameters(module) == end.parameters
        ):
            _end(found, "exit")
        if found.dirty and not found.mine:
            watch.missing(
                f"the last state of {found.model.number}",
                "the thread that trained it still ran when the program ended; its arrays are its own",
            )
    if not registry.tracks:
        for module in registry.scan():
            track(module, "scan")
    for function in list(moments.exits):
        with watch.looking(f"exit of {name_of(function)}"), watch.lock.released():
            function()
    registry.write()


def _take(
    found: Track, point: str, *, whole: bool = True, everything: bool = False, references: Any = None, unlike: snapshot.Taken | None = None,
    optimizers: dict[str, Any] | None = None,
) -> snapshot.Taken | None:  # fmt: skip
    """Capture a model; `everything`: frozen parameters are read again, too; `optimizers`: stand-ins for those that it has."""
    if not found.mine:
        return None
    before = None if everything else found.last_whole if whole else found.last
    place, given = (
        where(),
        {number: each.here for number, each in found.optimizers.items()} | (optimizers or {}),
    )
    with watch.lock.released():  # the probes call the program's model
        taken = snapshot.take(
            found.model, point, whole=whole, references=references, before=before, probes=found.last_whole, place=place,
            optimizers=given if whole else None, unlike=unlike,
        )  # fmt: skip
    if taken is not None:
        found.last = taken
        found.last_whole = taken if taken.whole else found.last_whole
    return taken


def _unchanged(found: Track, taken: snapshot.Taken) -> bool:
    """No parameter was bound anew since `taken`, and the settings are as they were."""
    arrays = trees.parameters(found.model.module)
    same = all(
        (seen := taken.seen.get(name)) is not None and seen() is array for name, array in arrays.items()
    )
    return same and len(arrays) == len(taken.seen) and snapshot.settings(found.model.module) == taken.settings


def install(run: Moments) -> None:
    """The last look at each model is ours."""
    run.on_sight(_follow)
