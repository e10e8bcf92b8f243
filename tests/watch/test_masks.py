"""The mask that a loss is handed, and how many positions it leaves."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn as nn

from forensics.watch.training import masks

IDS = mx.array([[5, 6, 7, 0], [5, 8, 0, 0]])
NOTHING = mx.zeros((2, 4))


def test_a_mask_of_zeros_and_ones_says_how_many_positions_it_leaves() -> None:
    assert masks.left([IDS, mx.array([[0, 1, 1, 0], [0, 1, 0, 0]])]) == 3
    assert masks.left([IDS, IDS > 6]) == 2
    assert masks.left([IDS, NOTHING]) == 0
    assert masks.left([IDS, mx.ones((2, 4)), NOTHING]) == 0  # one of attention beside one of the loss


def test_labels_that_hold_the_ignored_one_are_a_mask() -> None:
    assert masks.left([IDS, mx.where(IDS > 5, IDS, -100)]) == 3
    assert masks.left([IDS, mx.full((2, 4), -100)]) == 0


def test_token_ids_and_lengths_are_none() -> None:
    assert masks.left([IDS, IDS.astype(mx.uint32), mx.array([[1, 4], [1, 3]])]) is None
    assert masks.left([]) is None


def test_what_the_loss_is_differentiated_by_is_no_mask() -> None:
    tree = {"w": mx.ones((2, 2))}
    mx.eval(IDS, NOTHING)  # what the program has not computed is not looked at
    given = masks.handed(
        (nn.Linear(2, 2), tree, {"ids": IDS, "scale": mx.array(1.0)}), {"m": NOTHING}, [tree]
    )
    assert [array.shape for array in given] == [(2, 4), (2, 4)]
    assert given[1] is NOTHING
