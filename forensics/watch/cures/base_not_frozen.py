"""Beside an adapter the base stays as it is: it is frozen, and its updates are dropped.

Which tensors are the base's is told by the names of adapters' factors, else by what the recorded run showed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import request, training, updates

_OWN = ("lora_a", "lora_b", "m")
_frozen: set[str] = set()  # by this cure


def kept(update: updates.Update) -> str | None:
    trained = trees.trainable(update.model) if trees.is_module(update.model) else update.old
    base = [name for name in others(update.new) if name in update.old and name in {*trained, *_frozen}]
    if not base:  # what stands outside of the trainable set is another fault
        return None
    update.new |= {name: update.old[name] for name in base}
    return f"the updates of {len(base)} base tensors dropped"


def frozen(module: Any) -> str | None:
    """Of adapters what was trainable stays so."""
    base = others(trees.trainable(module))
    for path, each in trees.modules(module):
        keys = [name.rpartition(".")[2] for name in base if name.rpartition(".")[0] == path]
        if keys:
            each.freeze(recurse=False, keys=keys)
    _frozen.update(base)
    return f"{len(base)} base tensors frozen" if base else None


def others(names: Iterable[str]) -> list[str]:
    """Those of the base, among tensors that are trained; [] where no adapter is among them."""
    every = list(names)
    if any(name.rpartition(".")[2] in _OWN for name in every):
        return [name for name in every if name.rpartition(".")[2] not in _OWN]
    told = set(request.fact("base") or ())
    found = [name for name in every if name in told]
    return found if len(found) < len(every) else []


def install(run: Moments) -> None:
    training.cure(run, "base-not-frozen", frozen)
    updates.cure(run, "base-not-frozen", after=kept)
