"""The numbers that a program hands to its loss: one that was made outside of the gradient gets none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import trees
from ..capture.tensors import computed
from ..models import Model
from ..originals import math
from ..run import watch
from ..trees import mx

_MOST = 8  # numbers of one loss that are kept
_SMALL = 1 << 16  # elements of an array that is held until its step is written
_FEW = 1 << 12  # elements of an array of coefficients that is looked at


def beside(args: Sequence[Any], kwargs: dict[str, Any], subjects: Sequence[Any] = ()) -> list[Any]:
    """The arguments of a loss but for modules and for what it is differentiated by."""
    return [
        value
        for value in (*args, *kwargs.values())
        if not trees.is_module(value) and not any(value is subject for subject in subjects)
    ]


def numbers(args: Sequence[Any], kwargs: dict[str, Any], subjects: Sequence[Any]) -> list[Any]:
    """Floats, and float arrays of one element, among the arguments of a loss.

    What it is differentiated by is left out. [] where there are more than `_MOST`.
    """
    core = mx()
    found: list[Any] = []
    for value in beside(args, kwargs, subjects):
        if isinstance(value, float):
            found.append(value)
        else:
            found += [
                leaf
                for leaf in trees.leaves(value)
                if leaf.size == 1 and core.issubdtype(leaf.dtype, core.floating)
            ]
    return found if len(found) <= _MOST else []


def small(args: Sequence[Any], kwargs: dict[str, Any], subjects: Sequence[Any]) -> list[Any]:
    """Small arrays of one or two dimensions among the arguments of a loss, advantages and rows among them.

    Each under a name of its own: the program's object is gone when the program drops it.
    """
    return [
        leaf.astype(leaf.dtype)  # no operation, the same numbers
        for leaf in trees.leaves(beside(args, kwargs, subjects))
        if leaf.ndim in (1, 2) and 1 < leaf.size <= _SMALL
    ]


def coefficient(leaves: Sequence[Any]) -> float | None:
    """The largest magnitude among small float arrays that a loss is handed: of those with both signs, or 0.0.

    Advantages have both signs, or are all zero. None where there is neither, or nothing is computed yet.
    """
    core = mx()
    found: list[float] = []
    for leaf in leaves:
        if leaf.size <= _FEW and core.issubdtype(leaf.dtype, core.floating) and computed(leaf):
            low, high = float(leaf.min().item()), float(leaf.max().item())
            if low < 0 < high or low == high == 0:
                found.append(max(-low, high))
    return max(found, default=None)


def means(several: Sequence[Sequence[Any]]) -> list[float] | None:
    """Of each number, the mean over the gradients of a step.

    None where these were not handed alike, or one is not finite.
    """
    if not several or not several[0] or len({len(given) for given in several}) > 1:
        return None
    rows = [[each if isinstance(each, float) else float(each.item()) for each in given] for given in several]
    mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    return mean if all(map(math.isfinite, mean)) else None


def log_space(model: Model | None, inputs: list[Any]) -> None:
    """Write what was handed, now that the gradient is made.

    `most`: the largest sum of what would be the probabilities of one distribution.
    """
    core = mx()
    for name, argument, rows, place in inputs:
        if rows is None or not rows.size:
            continue
        rows = rows.astype(core.float32)
        most, low, total = (
            float(each.item())
            for each in (core.logsumexp(rows, -1).max(), rows.min(), core.abs(rows.sum(-1) - 1).max())
        )
        watch.event(
            "input", model, place, function=name, argument=argument, classes=int(rows.shape[-1]),
            most=math.exp(most) if most < math.log(1e30) else None, probabilities=low >= 0 and total < 0.01,
        )  # fmt: skip
