"""Squared norms of what an optimizer got, made and replaced: small tensors together, so that hundreds cost few operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..trees import mx
from .logits import after, apart, wide

_SMALL = 1 << 18  # elements of a tensor that is put together with others of its size
_TOGETHER = (
    1 << 22
)  # elements that are put together: bounds the memory that a copy of them takes for a moment

Sides = tuple[Any, Any, Any]
"""(gradient, new, old) of one parameter, equal in size."""


class Norms:
    """Squared norms by parameter: vectors and scalars of float32 which, one after the other, are in the order of `names`."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.gradient: list[Any] = []
        self.update: list[Any] = []
        self.told: dict[
            str, Any
        ] = {}  # new arrays, which the program cannot have before their norms are computed
        self._old: list[list[Any]] = []

    def parameter(self) -> list[Any]:
        """Of the parameters before the update."""
        return [_squares(_joined(old), len(old)) for old in self._old]


def norms(sides: dict[str, Sides]) -> Norms:
    """The norms of gradients and updates, in nodes that stay out of the program's compiled kernels."""
    found = Norms()
    for names in _groups(sides):
        gradient, new, old = (list(column) for column in zip(*(sides[name] for name in names), strict=True))
        moved = apart(wide(_joined(new)) - wide(_joined(old)))
        needed = [_squares(each, len(names)) for each in (_joined(gradient), moved)]
        found.names += names
        found.gradient.append(needed[0])
        found.update.append(needed[1])
        found._old.append(old)
        found.told |= zip(names, after(new, needed), strict=True)
    return found


def _groups(sides: dict[str, Sides]) -> list[list[str]]:
    """Names of small tensors of one size and one dtype together, those of others alone."""
    found: dict[Any, list[list[str]]] = {}
    for name, arrays in sides.items():
        size = arrays[0].size
        small = 0 < size <= _SMALL and all(array.size == size for array in arrays)
        groups = found.setdefault((size, *(str(array.dtype) for array in arrays)) if small else name, [[]])
        if len(groups[-1]) * size >= _TOGETHER:
            groups.append([])
        groups[-1].append(name)
    return [group for groups in found.values() for group in groups]


def _joined(arrays: Sequence[Any]) -> Any:
    """One array of all; where several are joined, that operation itself is none that mlx fuses."""
    core = mx()
    if len(arrays) == 1:
        return apart(arrays[0])
    return core.concatenate([array.reshape(-1) for array in arrays])


def _squares(joined: Any, rows: int) -> Any:
    """The sum of squares of each of the arrays that were joined: a scalar of one, a vector of several."""
    core = mx()
    squared = core.square(core.stop_gradient(wide(joined)))
    return squared.sum() if rows == 1 else squared.reshape(rows, -1).sum(-1)
