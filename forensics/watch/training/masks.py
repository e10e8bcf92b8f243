"""The mask that a program hands to its loss: how many positions it leaves.

A loss that is not a number says nothing of its positions; the mask does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import trees
from ..capture.tensors import computed
from ..trees import mx
from .handed import beside

_IGNORED = -100  # the label that losses leave out, by custom
_LARGEST = 1 << 22  # elements of an array that is looked at


def handed(args: Sequence[Any], kwargs: dict[str, Any], subjects: Sequence[Any]) -> list[Any]:
    """Arrays (rows, positions) among a loss's arguments, but for what it is differentiated by.

    Those that the program has computed: they are looked at now, as holding one would keep its batch alive.
    """
    leaves = trees.leaves(beside(args, kwargs, subjects))
    return [leaf for leaf in leaves if leaf.ndim == 2 and 1 < leaf.size <= _LARGEST and computed(leaf)]


def left(arrays: Sequence[Any]) -> int | None:
    """The positions that the strictest mask among these arrays leaves; None where none of them is a mask.

    A mask is an array of zeros and ones, or of labels that hold -100.
    """
    counts = [count for count in map(_left, arrays) if count is not None]
    return min(counts, default=None)


def _left(array: Any) -> int | None:
    core = mx()
    values = array.astype(core.int32) if array.dtype == core.bool_ else array
    if core.all((values == 0) | (values == 1)).item():
        return int(core.sum(values).item())
    if core.issubdtype(values.dtype, core.signedinteger) and core.any(values == _IGNORED).item():
        return int(core.sum(values != _IGNORED).item())
    return None
