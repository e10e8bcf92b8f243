"""Safe moments, at which captures that are due are taken.

Before a save, a generation, a fuse, a load, and at the exit.
"""

from __future__ import annotations

import functools
from typing import Any

from .. import trees
from ..models import Model
from ..moments import Moments, moments, name_of
from ..run import safely, watch
from . import digests, dropped, points, registry, snapshot
from .registry import Track

WHOLE = 2  # whole `end` and `generate-N` captures while training may go on; more are digests alone
_ENDING = {"save", "generate", "fuse", "load", "convert", "exit"}


def flush() -> None:
    """Run the flushers of the taps, each of which evaluates no more than this thread's own."""
    if not watch.tracing:
        for function in list(moments.boundaries):
            with watch.looking(f"flush of {name_of(function)}"), watch.lock.released():
                function()


@safely
def boundary(reason: str, module: Any = None) -> None:
    """A safe moment: before a save, generate, fuse, load, convert, evaluate or exit.

    Takes `end` of each dirty model.
    """
    if watch.tracing or watch.local.gradient:
        return
    if reason in _ENDING:
        _look(reason)
    dropped.catch_up()
    digests.forget()
    flush()
    if module is not None:
        points.track(module)
    if reason in _ENDING:
        for track in list(registry.tracks.values()):
            if track.dirty and track.mine:
                _end(track, reason)
            if reason == "fuse" and track.wholes.get("fuse", 0) < WHOLE and _brief(track, track.model.module):
                _end(track, "exit")  # what is trained is gone from the model once it is fused
                track.wholes["fuse"] = track.wholes.get("fuse", 0) + 1
    registry.write()


def _look(reason: str) -> None:
    """What of the models that have an `end` due is not computed, before the taps compute what they hold."""
    for track in list(registry.tracks.values()):
        if track.dirty and track.mine and track.model.module is not None:
            whole = reason == "exit" or track.wholes.get("end", 0) < WHOLE
            with watch.looking("what is not computed"), watch.lock.released():
                track.pending = snapshot.waiting(track.model, whole)


@safely
def judged(step: int) -> None:
    """A step can be judged from what is on disk now: everything is written that a tap still holds of it."""
    flush()
    registry.write()
    watch.row("judged", step=step)


def _end(track: Track, reason: str) -> None:
    whole = reason == "exit" or track.wholes.get("end", 0) < WHOLE
    pending, track.pending = track.pending, None
    track.last_end = points.take(track, "end", whole=whole, everything=whole, pending=pending)
    track.dirty, track.ended = False, True
    if whole:
        track.wholes["end"] = track.wholes.get("end", 0) + 1


def _brief(track: Track, module: Any) -> bool:
    """Was the last `end` taken as digests alone, and do the model's parameters still have them?"""
    end = track.last_end
    return (
        end is not None
        and not end.whole
        and module is not None
        and track.mine
        and digests.parameters(module) == end.parameters
    )


def _outdated(track: Track, module: Any) -> bool:
    """Is another, whole `end` to be taken of a model that was not updated since the last?

    The last was digests alone; or frozen parameters were no longer those of `start` when it was taken, since
    an adapter is merged while the model is asked, and have moved again since. What moves only afterwards, as
    a cast and a fuse in place do, is not the model after its last update.
    """
    end, start = track.last_end, track.last_start
    if _brief(track, module):
        return True
    if end is None or start is None or module is None or not track.mine:
        return False
    trained = trees.trainable(module).keys()
    frozen = end.digests.keys() - trained
    if all(end.digests[name] == start.digests.get(name) for name in frozen):
        return False
    now = {name: digests.digest_of(array) for name, array in trees.parameters(module).items()}
    return (
        now.keys() == end.digests.keys()
        and all(now[name] == end.digests[name] for name in trained)
        and any(now[name] != end.digests[name] for name in frozen)
    )


@safely
def generating(module: Any) -> int | None:
    """The number of the capture that stands for the model as this generation uses it."""
    if watch.tracing or watch.local.gradient:
        return None
    boundary("generate", module)
    track = points.track(module)
    if track is None:
        return None
    track.model.generations += 1
    track.model.answered = track.model.updates
    if not track.mine:  # it is trained elsewhere meanwhile: what this generation uses cannot be read
        return None
    if track.last is None or not points.unchanged(track, track.last):
        whole, before = track.wholes.get("generate", 0) < WHOLE, track.last
        if (
            points.take(track, f"generate-{track.model.generations}", whole=whole, unlike=before)
            is not before
        ):
            track.wholes["generate"] = track.wholes.get("generate", 0) + whole
    return track.last.number if track.last else None


def _follow(record: Model) -> None:
    if trees.is_module(record.module):
        dropped.follow(record.module, functools.partial(_dropped, record))


@safely
def _dropped(record: Model, module: Any) -> None:
    """The program drops a model: take the `end` that is due, and let go of what came with it."""
    track = registry.tracks[record.number]
    record.again(module)
    digests.forget()
    flush()
    if track.dirty or _outdated(track, module):
        _end(track, "exit")
    track.optimizers.clear()
    track.kin = (0, [])
    record.tokenizer = None
    for function in moments.drops:
        function(record)
    registry.write()


@safely
def finish() -> None:
    """The program ends: take what is due, look for models that no hook saw, write the last rows."""
    dropped.catch_up()
    boundary("exit")
    for track in list(registry.tracks.values()):
        if _outdated(track, track.model.module):
            _end(track, "exit")
        if track.dirty and not track.mine:
            watch.missing(
                f"the last state of {track.model.number}",
                "the thread that trained it still ran when the program ended; its arrays are its own",
            )
    if not registry.tracks:
        for module in registry.scan():
            points.track(module)
    for function in list(moments.exits):
        with watch.looking(f"exit of {name_of(function)}"), watch.lock.released():
            function()
    registry.write()


def install(run: Moments) -> None:
    """The last look at each model is ours."""
    run.on_sight(_follow)
