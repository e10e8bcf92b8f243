"""Advantages that are measured within groups of rows, held against the rows of one prompt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from ..capture.tensors import computed
from ..trees import mx

_ROWS = 1 << 10  # of a batch that is looked at
_ROUNDING = 1e-3  # of the sum of magnitudes: what a sum of a group that is centred leaves


def mixed(leaves: Sequence[Any]) -> list[int] | None:
    """[rows of a group, groups, groups with rows of several prompts] of arrays that a loss is handed.

    A group is what sums to 0, side by side, all over the batch. None where there are none, or where nothing
    that the loss is handed has as many rows of each prompt.
    """
    core = mx()
    for leaf in leaves:
        rows = int(leaf.shape[0])
        flat = leaf.size == rows and 3 < rows <= _ROWS and core.issubdtype(leaf.dtype, core.floating)
        if not flat or not computed(leaf):
            continue
        size = _size([float(value) for value in leaf.reshape(-1).tolist()])
        if size is None:
            continue
        found = [
            _mixed(prompts, size)
            for other in leaves
            if other.shape[0] == rows and computed(other)
            for prompts in _prompts(other, size)
        ]
        if found:
            return [size, rows // size, min(found)]
    return None


def _size(values: list[float]) -> int | None:
    """Rows of a group: the fewest side by side whose values sum to 0, all over the batch."""
    for size in range(2, len(values) // 2 + 1):
        if len(values) % size:
            continue
        groups = [values[i : i + size] for i in range(0, len(values), size)]
        live = [group for group in groups if any(group)]
        if len(live) > 1 and all(abs(sum(group)) <= _ROUNDING * sum(map(abs, group)) for group in live):
            return size
    return None


def _prompts(array: Any, size: int) -> Iterator[list[Any]]:
    """What tells the prompts of rows apart, each of which has `size` rows: a number, or how rows begin."""
    core = mx()
    if not core.issubdtype(array.dtype, core.integer) or array.ndim > 2:
        return
    rows = array.tolist()
    if array.ndim == 1:
        if _even(rows, size):
            yield rows
        return
    for length in range(1, array.shape[1] + 1):
        heads = [tuple(row[:length]) for row in rows]
        if _even(heads, size):
            yield heads
            return


def _even(prompts: list[Any], size: int) -> bool:
    return set(Counter(prompts).values()) == {size}


def _mixed(prompts: list[Any], size: int) -> int:
    return sum(len(set(prompts[i : i + size])) > 1 for i in range(0, len(prompts), size))
