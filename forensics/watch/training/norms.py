"""Squared norms of what an optimizer got, made and replaced.

Small tensors are measured together, so that hundreds cost few operations.

Which tensors go together is settled once while the gradients' tree keeps its leaves; a step then puts the
arrays of each group into one, and the program cannot have the last of its new arrays before the norms are
computed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import trees
from ..trees import mx
from .logits import after, unfused, wide

_SMALL = 1 << 18  # elements of a tensor that is put together with others of its shape
# elements that are put together: bounds the memory that a copy of them takes for a moment
_TOGETHER = 1 << 22


@dataclass
class Plan:
    """The leaves of one gradients' tree, and which of them go together.

    Args:
        paths: of the leaves, in their order; those of which a parameter is known.
        groups: indices of leaves of one shape and one dtype, and of those that are looked at alone.
        few: paths of a few small gradients.
        alike: gradients and what the optimizer made of them have their leaves in one order.
    """

    paths: list[str]
    groups: list[list[int]]
    few: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    alike: bool = True

    @functools.cached_property
    def names(self) -> list[str]:
        """In the order of the norms."""
        return [self.paths[i] for group in self.groups for i in group]


@dataclass
class Norms:
    """Squared norms by parameter.

    Vectors and scalars of float32 which, one after the other, are in the order of `Plan.names`.
    """

    gradient: list[Any]
    update: list[Any]
    parameter: Callable[[], list[Any]]  # of the parameters before the update


def plan(paths: Sequence[str], gradient: Sequence[Any], new: Sequence[Any], old: Sequence[Any]) -> Plan:
    """Small tensors of one shape and dtype together, the others alone."""
    by_kind: dict[Any, list[list[int]]] = {}
    for i, arrays in enumerate(zip(gradient, new, old, strict=True)):
        shape, size = arrays[0].shape, arrays[0].size
        small = 0 < size <= _SMALL and shape and all(array.shape == shape for array in arrays)
        groups = by_kind.setdefault((shape, *(str(array.dtype) for array in arrays)) if small else i, [[]])
        if len(groups[-1]) * size >= _TOGETHER:
            groups.append([])
        groups[-1].append(i)
    return Plan(list(paths), [group for groups in by_kind.values() for group in groups])


def norms(how: Plan, gradient: Sequence[Any], new: Sequence[Any], old: Sequence[Any]) -> Norms:
    """The norms of gradients and updates, in nodes that stay out of the program's compiled kernels.

    Raises ValueError where the arrays do not have the shapes of the plan.
    """
    norms = Norms([], [], lambda: [_squares(_joined(old, group), len(group)) for group in how.groups])
    for group in how.groups:
        moved = unfused(wide(_joined(new, group)) - wide(_joined(old, group)))
        norms.gradient.append(_squares(_joined(gradient, group), len(group)))
        norms.update.append(_squares(moved, len(group)))
    return norms


def held_back(tree: Any, needed: Sequence[Any]) -> Any:
    """The same tree, whose last array the program cannot have before `needed` is computed.

    What is evaluated together stays so.
    """
    return trees.with_last(tree, lambda array: after(array, list(needed))) if needed else tree


def _joined(arrays: Sequence[Any], group: Sequence[int]) -> Any:
    """One array of all; where several are joined, that operation itself is none that mlx fuses."""
    if len(group) == 1:
        return unfused(arrays[group[0]])
    return mx().concatenate([arrays[i] for i in group])


def _squares(joined: Any, rows: int) -> Any:
    """The sum of squares of each of the arrays that were joined: a scalar of one, a vector of several."""
    core = mx()
    squared = core.square(core.stop_gradient(wide(joined)))
    return squared.sum() if rows == 1 else squared.reshape(rows, -1).sum(-1)
