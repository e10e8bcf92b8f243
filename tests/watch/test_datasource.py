"""Lists of rows that a program holds in memory."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import pytest

from forensics.watch.capture.tensors import computed
from forensics.watch.training import datasource


@pytest.mark.parametrize(
    ("items", "held"),
    [
        ([[5, 6, 7, 8, 0, 0], [9, 9, 1, 2, 3]], True),
        ([([5, 6, 7, 8], 2), ([1, 2, 3, 4], 1)], True),
        ([{"ids": [5, 6, 7, 8, 2]}, {"ids": [1, 2, 3, 4]}], True),
        ([[5, 6, 7, 1], [1, 2, 3, 4]], False),
        (["5 6 7 8", "1 2 3 4"], False),
    ],
)
def test_a_row_that_was_trained_is_found_in_its_list(items: list[Any], held: bool) -> None:
    assert datasource._holds(items, {(5, 6, 7, 8)}) is held


def test_of_rows_that_are_arrays_nothing_is_computed() -> None:
    waiting, ready = mx.arange(8) + 1, mx.array([5, 6, 7, 8])
    mx.eval(ready)
    assert not datasource._holds([(waiting, 2)], {(1, 2, 3, 4, 5, 6, 7, 8)})
    assert not computed(waiting)
    assert datasource._holds([(ready, 2)], {(5, 6, 7, 8)})
