"""Which rows of a batch have padding behind them."""

from __future__ import annotations

from forensics.watch.training.padding import padded_rows


def test_an_id_that_no_other_follows_pads_a_row() -> None:
    assert padded_rows([[5, 9, 7, 2, 0, 0], [5, 9, 0, 0, 0, 0], [4, 3, 8, 2, 7, 6]]) == [(4, 1), (2, 0)]


def test_a_row_that_ends_on_a_pair_of_its_own_ids_has_no_padding() -> None:
    assert padded_rows([[1, 1, 2, 2], [1, 2, 1, 2]]) == []
    assert padded_rows([[1, 1, 2, 2], [1, 2, 0, 0], [1, 2, 1, 2]]) == [(2, 1)]
