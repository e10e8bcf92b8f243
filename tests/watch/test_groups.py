"""Advantages that sum to 0 in groups, held against what tells the prompts of rows apart."""

from __future__ import annotations

import mlx.core as mx

from forensics.watch.training import groups

CENTRED = mx.array([-1.0, 1.0, 0.5, -0.5, 2.0, -2.0])


def test_rows_of_one_prompt_side_by_side_are_not_mixed() -> None:
    assert groups.mixed([CENTRED, mx.array([7, 7, 3, 3, 5, 5])]) == [2, 3, 0]


def test_tiled_prompts_are_mixed_in_each_group() -> None:
    assert groups.mixed([mx.array([7, 3, 5, 7, 3, 5]), CENTRED]) == [2, 3, 3]


def test_prompts_are_how_rows_begin() -> None:
    rows = [[1, 7, 2, 9], [1, 3, 2, 8], [1, 5, 2, 8], [1, 7, 2, 4], [1, 3, 4, 9], [1, 5, 2, 9]]
    assert groups.mixed([CENTRED, mx.array(rows)]) == [2, 3, 3]
    assert groups.mixed([CENTRED, mx.array(sorted(rows))]) == [2, 3, 0]


def test_a_mean_over_the_whole_batch_is_no_group() -> None:
    assert groups.mixed([mx.array([-3.0, 1.0, 1.0, 1.0]), mx.array([7, 3, 7, 3])]) is None


def test_prompts_with_another_number_of_rows_say_nothing() -> None:
    assert groups.mixed([CENTRED, mx.array([7, 7, 7, 3, 3, 3])]) is None
    assert groups.mixed([CENTRED]) is None
