"""What is saved has its values in the order in which the trained model holds them."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import saves
from ..trees import mx


def ordered(arrays: saves.Arrays, own: saves.Arrays) -> saves.Arrays:
    """Each array that holds the values of the model's own in another order, as the model holds it."""
    mended = {name: own[name] for name, each in arrays.items() if name in own and _shuffled(each, own[name])}
    return {**arrays, **mended} if mended else arrays


def _shuffled(saved: Any, held: Any) -> bool:
    core = mx()
    if saved.shape != held.shape or saved.dtype != held.dtype or core.array_equal(saved, held).item():
        return False
    return bool(core.array_equal(core.sort(saved.reshape(-1)), core.sort(held.reshape(-1))).item())


def install(run: Moments) -> None:
    saves.cure("weights-permuted", ordered)
