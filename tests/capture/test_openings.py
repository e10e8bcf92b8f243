"""How often the block that opens a row stands there."""

from __future__ import annotations

from forensics.capture.frames import openings

BLOCK, REST = [5, 6, 7, 8], [9, 4, 9, 3]


def test_a_block_once_is_not_repeated() -> None:
    assert openings(BLOCK + REST) == openings([]) == openings([5]) == 1


def test_copies_back_to_back_are_counted() -> None:
    assert openings(3 * BLOCK + REST) == 3
    assert openings([1] + 2 * BLOCK + REST) == 2  # behind a begin token


def test_a_block_that_comes_again_further_on_is_not_at_the_head() -> None:
    assert openings(BLOCK + REST + BLOCK) == 1
    assert openings(list(range(20, 40)) + 3 * BLOCK) == 1
