"""Which models there are: live modules and bare trees of arrays.

With each stands what came with it, and what was captured of it.
"""

from __future__ import annotations

import functools
import gc
from dataclasses import dataclass, field
from typing import Any

from .. import distributed, trees
from ..lock import is_mine
from ..models import Model
from ..moments import moments
from ..originals import threading
from ..run import watch
from ..wrapping import weakly
from . import dropped, optimizers, snapshot


class Used:
    """An optimizer that was seen: a weak reference to it.

    `left` is what it held when the program dropped it before an `end` was taken.
    """

    def __init__(self, number: str, optimizer: Any) -> None:
        self.number, self.left = number, None
        self._optimizer = weakly(optimizer)

    @property
    def here(self) -> Any:
        """The optimizer, or what it left; None where it left nothing that was due."""
        live = self._optimizer()
        return self.left if live is None else live

    def became(self, left: Any) -> None:
        self._optimizer, self.left = _nothing, left


def _nothing() -> None:
    return None


@dataclass
class Track:
    """What was taken of one model, and what is due."""

    model: Model
    thread: int  # the thread that trains it, or that saw it first: no other thread evaluates what it holds
    started: bool = False  # this phase has its `start`
    phase: int = 0  # number of `start`s
    renewed: bool = False  # a gradient function was made since the last `start`
    dirty: bool = False  # updated since the last `end`
    ended: bool = False  # an `end` was taken in this phase
    optimizers: dict[str, Used] = field(default_factory=dict)  # o0, o1, ...: those that updated this model
    wholes: dict[str, int] = field(default_factory=dict)  # whole captures of `end` and `generate`
    last: snapshot.Taken | None = None
    last_whole: snapshot.Taken | None = None
    last_end: snapshot.Taken | None = None
    last_start: snapshot.Taken | None = None
    pending: snapshot.Pending | None = None  # what was not computed when the `end` that is due was seen to be
    adapters: tuple[int, int] = (0, 0)  # adapter layers, and those around another
    kin: tuple[int, list[tuple[Track, str, bool]]] = (0, [])  # see `kin`, and how many models were known then

    @property
    def mine(self) -> bool:
        """May this thread read what the model holds now?"""
        return is_mine(self.thread)

    @property
    def ends(self) -> bool:
        """Is an `end`, or a whole one, still due?"""
        return self.dirty or (self.last_end is not None and not self.last_end.whole)


tracks: dict[str, Track] = {}
_bare: list[trees.Tree] = []
_optimizers: list[Used] = []
_tokenizers: list[tuple[Any, str | None]] = []
_rows: dict[str, dict[str, Any]] = {}


def find(module: Any) -> Track | None:
    """The track of a module that is known."""
    known = watch.record_of(module)
    return tracks.get(known.number) if known else None


def register(module: Any) -> tuple[Track, bool]:
    """The track of a module, and whether it is new."""
    known = watch.record_of(module)
    record = known or watch.model(module)
    fresh = record.number not in tracks
    track = tracks.setdefault(record.number, Track(record, threading.get_ident()))
    if fresh:
        track.adapters = trees.adapters(module)
        if record.tokenizer is None and len(_tokenizers) == 1:
            record.tokenizer, record.tokenizer_path = _tokenizers[0]
        for function in moments.sights:
            function(record)
    return track, fresh


def rooted(module: Any) -> Any:
    """What can be tracked: a module, or the stand-in of a tree of arrays; None for what holds no arrays."""
    if trees.is_module(module) or isinstance(module, trees.Tree):
        return module
    return bare(module)


def bare(tree: Any) -> trees.Tree | None:
    """The stand-in for a tree of arrays, found again by its names and shapes.

    It points at the newest tree.
    """
    shapes = {name: tuple(array.shape) for name, array in trees.flatten(tree)}
    if not shapes:
        return None
    for each in _bare:
        if each.shapes() == shapes:
            each.tree = tree
            return each
    _bare.append(trees.Tree(tree))
    return _bare[-1]


def kin(track: Track) -> list[tuple[Track, str, bool]]:
    """Known models that share modules with this one.

    Each is (track, path, whether it stands at that path below this one, or this below it).

    A wrapper around a model that was loaded is a model of its own, and what updates the one updates the
    other.
    """
    if track.kin[0] != len(tracks):
        pairs = []
        for other in list(tracks.values()) if len(tracks) > 1 and trees.is_module(track.model.module) else ():
            if other is not track and trees.is_module(other.model.module):
                below = trees.path_below(track.model.module, other.model.module)
                above = trees.path_below(other.model.module, track.model.module) if below is None else None
                pairs += [
                    (other, path, here) for path, here in ((below, True), (above, False)) if path is not None
                ]
        track.kin = len(tracks), pairs
    return track.kin[1]


def describe(record: Model, path: str | None, tokenizer: Any, adapter_path: str | None, config: Any) -> None:
    """Add what a loader said of a model."""
    record.path = path or record.path
    record.adapter_path = adapter_path or record.adapter_path
    record.config = config or record.config
    if tokenizer is not None:
        record.tokenizer, record.tokenizer_path = tokenizer, path or record.tokenizer_path


def copied(track: Track) -> None:
    """A model that no loader returned, equal to one that is known when first seen, is a copy of it."""
    if track.model.path is None and track.last is not None:
        for other in list(tracks.values()):
            if other is not track and any(
                t and t.parameters == track.last.parameters for t in (other.last, other.last_whole)
            ):
                twin = other.model
                track.model.copied_from = twin.number
                describe(track.model, None, track.model.tokenizer or twin.tokenizer, None, twin.config)
                track.model.tokenizer_path = track.model.tokenizer_path or twin.tokenizer_path
                return


def tokenizer_seen(tokenizer: Any, path: str | None) -> None:
    """A tokenizer was loaded: it stands for models built in memory while it is the only one."""
    _tokenizers[:] = [entry for entry in _tokenizers if path is None or entry[1] != path] + [
        (tokenizer, path)
    ]
    if len(_tokenizers) > 1:  # none of several stands for a model: they need not stay alive
        _tokenizers[:] = [(None, other) for _, other in _tokenizers[-2:]]
    for track in list(tracks.values()):
        if track.model.tokenizer is None and (track.model.path == path or len(tracks) == 1):
            track.model.tokenizer, track.model.tokenizer_path = tokenizer, path


def used(optimizer: Any) -> Used:
    """What stands for an optimizer: o0, o1, ... in order of first sight."""
    for each in _optimizers:
        if each.here is optimizer:
            return each
    entry = Used(f"o{len(_optimizers)}", optimizer)
    _optimizers.append(entry)
    dropped.follow(optimizer, functools.partial(_optimizer_dropped, entry))
    return entry


def optimizer_number(optimizer: Any) -> str:
    """o0, o1, ... in order of first sight."""
    return used(optimizer).number


def _optimizer_dropped(which: Used, optimizer: Any) -> None:
    """Where an `end` of a model that it updated is still due, what it holds is written now."""
    due = (each for each in list(tracks.values()) if which.number in each.optimizers and each.ends)
    track = next(due, None)
    which.became(optimizers.left(which.number, optimizer) if track else None)


def scan() -> list[Any]:
    """Modules in memory that stand under no other module: the models that no hook saw."""
    modules = [
        tracked for tracked in gc.get_objects() if isinstance(tracked, dict) and trees.is_module(tracked)
    ]
    below = {id(child) for module in modules for path, child in trees.modules(module) if path}
    return [module for module in modules if id(module) not in below and trees.parameters(module)]


def digests_of(record: Model) -> set[str]:
    """The digests of the parameters of a model at its newest capture."""
    track = tracks.get(record.number)
    return {digest for digest in track.last.digests.values() if digest} if track and track.last else set()


def write() -> None:
    """Write the row of each model that changed since it was written."""
    rank, ranks = distributed.group()
    for track in list(tracks.values()):
        record = track.model
        row: dict[str, Any] = {
            "model": record.number,
            "class": None if record.class_name == trees.Tree.__name__ else record.class_name,
            "path": record.path,
            "updates": record.updates,
            "writes": record.writes,
            "unwritten": record.unwritten,
            "gradients": record.gradients,
            "generations": record.generations,
            "saves": record.saves,
            "parameters": len(track.last.digests) if track.last else None,
            "copied_from": record.copied_from,
            "rank": rank,
            "ranks": ranks,
        }
        if row != _rows.get(record.number):
            _rows[record.number] = row
            watch.row("models", **row)
