"""Where an answer went on after its end."""

from __future__ import annotations

import json

import pytest

from forensics.capture.batches import Rows
from forensics.capture.frames import Facts
from forensics.store.keyed import Keyed

END = 2


@pytest.mark.parametrize(
    ("via", "output", "position"),
    [
        ("loop", [5, 6, END], None),
        ("loop", [5, 6, END, 9], None),  # the end was read to close the turn; nobody took the 9
        ("loop", [5, 6, END, 9, 9], 2),
        ("generate_step", [5, 6, END], None),
        ("generate_step", [5, 6, END, 9], 2),
        ("loop", [], None),
    ],
)
def test_an_end_that_is_read_to_close_the_turn_is_where_the_answer_ends(
    via: str, output: list[int], position: int | None
) -> None:
    rows = Rows([], [], {}, Keyed(b"k" * 32))
    seen = {"via": via, "model": "m0", "prompt_ids": "[4]", "output_ids": json.dumps(output)}
    assert rows.generation(seen, Facts(ends=frozenset({END})))["end_position"] == position
