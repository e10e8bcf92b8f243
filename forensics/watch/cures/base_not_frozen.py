"""Beside an adapter the base stays as it is: it is frozen, and its updates are dropped."""

from __future__ import annotations

from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import training, updates

_OWN = ("lora_a", "lora_b", "m")


def kept(update: updates.Update) -> str | None:
    own = [name for name in update.new if name.rpartition(".")[2] in _OWN]
    others = [name for name in update.new if name not in own and name in update.old]
    if not own or not others:
        return None
    update.new |= {name: update.old[name] for name in others}
    return f"the updates of {len(others)} base tensors dropped"


def frozen(module: Any) -> str | None:
    """Of adapters what was trainable stays so."""
    if not trees.adapters(module)[0]:
        return None
    others = [name for name in trees.trainable(module) if name.rpartition(".")[2] not in _OWN]
    for path, each in trees.modules(module):
        keys = [name.rpartition(".")[2] for name in others if name.rpartition(".")[0] == path]
        if keys:
            each.freeze(recurse=False, keys=keys)
    return f"{len(others)} base tensors frozen" if others else None


def install(run: Moments) -> None:
    training.cure(run, "base-not-frozen", frozen)
    updates.cure(run, "base-not-frozen", after=kept)
