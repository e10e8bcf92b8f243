"""What was meant to be trained is trainable: the adapter, else the one that was declared, else all."""

from __future__ import annotations

from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import adapters, training


def freed(module: Any) -> str | None:
    if trees.trainable(module):
        return None
    if not trees.adapters(module)[0] and adapters.declared():
        return adapters.put_in(module, adapters.declared().get("keys"))
    if trees.adapters(module)[0]:
        return adapters.free(module)
    module.unfreeze()
    return f"{len(trees.trainable(module))} tensors made trainable"


def install(run: Moments) -> None:
    training.cure(run, "nothing-trainable", freed)
