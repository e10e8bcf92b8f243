"""Scales and biases of quantized weights stay as they are: frozen, and their updates are dropped."""

from __future__ import annotations

from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import training, updates


def kept(update: updates.Update) -> str | None:
    packing = [
        name for name in update.new if name.rpartition(".")[2] in ("scales", "biases") and name in update.old
    ]
    if not packing:
        return None
    update.new |= {name: update.old[name] for name in packing}
    return f"the updates of {len(packing)} scales and biases dropped"


def frozen(module: Any) -> str | None:
    before = len(trees.trainable(module))
    for _, each in trees.modules(module):
        if "scales" in each:
            each.freeze(recurse=False, keys=[key for key in ("scales", "biases") if key in each])
    count = before - len(trees.trainable(module))
    return f"{count} scales and biases frozen" if count else None


def install(run: Moments) -> None:
    training.cure(run, "quantization-parameters-changed", frozen)
    updates.cure(run, "quantization-parameters-changed", after=kept)
