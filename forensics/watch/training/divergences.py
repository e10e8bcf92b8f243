"""How far a model's answers are from others that its loss had: those of a teacher, or of a reference.

A divergence that the loss's value has, and the gradient at the logits has not, was taken of constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import trees
from ..trees import mx
from .handed import beside

_BLOCK = 1 << 19  # elements of logits that are compared at once
_MOST = 2  # others that are compared
_WHOLE = 1 << 26  # elements of logits beyond which nothing is compared


def others(args: Sequence[Any], kwargs: dict[str, Any]) -> list[Any]:
    """Arrays (rows, positions, vocabulary) of floats among the arguments of a loss."""
    core = mx()
    return [
        leaf
        for leaf in trees.leaves(beside(args, kwargs))
        if leaf.ndim == 3 and leaf.size <= _WHOLE and core.issubdtype(leaf.dtype, core.floating)
    ]


def weighted(z: Any, weight: Any, among: Sequence[Any]) -> Any:
    """(2 n,) float32: KL(other, z) and KL(z, other) of each of n others, summed over positions by weight.

    None where no other has the shape of z.

    Args:
        z: (..., vocabulary) logits; weight: (...).
        among: logits, log-probabilities or probabilities of others.
    """
    core, width = mx(), z.shape[-1]
    alike = [other for other in among if other.shape == z.shape][:_MOST]
    if not alike or z.size > _WHOLE:
        return None
    z, weight = core.stop_gradient(z).reshape(-1, width), core.stop_gradient(weight).reshape(-1, 1)
    rows = max(1, _BLOCK // width)
    sums = []
    for other in alike:
        flat = core.stop_gradient(other).reshape(-1, width)
        parts = [
            _both(*(each[i : i + rows] for each in (flat, z, weight))) for i in range(0, z.shape[0], rows)
        ]
        sums.append(core.stack(parts).sum(0))
    return core.concatenate(sums)


def _both(other: Any, z: Any, weight: Any) -> Any:
    core = mx()
    other, z = other.astype(core.float32), z.astype(core.float32)
    other = core.where(other.min() >= 0, core.log(core.maximum(other, 1e-30)), other)
    a, b = (each - core.logsumexp(each, -1, keepdims=True) for each in (other, z))
    return core.stack([(weight * core.exp(a) * (a - b)).sum(), (weight * core.exp(b) * (b - a)).sum()])
