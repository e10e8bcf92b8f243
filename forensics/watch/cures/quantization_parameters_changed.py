"""Scales and biases of quantized weights stay as they are: their updates are dropped."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import updates


def kept(update: updates.Update) -> str | None:
    packing = [
        name for name in update.new if name.rpartition(".")[2] in ("scales", "biases") and name in update.old
    ]
    if not packing:
        return None
    update.new |= {name: update.old[name] for name in packing}
    return f"the updates of {len(packing)} scales and biases dropped"


def install(run: Moments) -> None:
    updates.cure(run, "quantization-parameters-changed", after=kept)
