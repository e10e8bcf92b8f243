"""Rows as lines of JSON: many in one text, each what it is alone."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from forensics import typed

COLUMNS = {"name": "VARCHAR", "detail": "VARCHAR", "mean": "DOUBLE", "step": "BIGINT", "whole": "BOOLEAN"}
# what could be taken for the border of two rows, beside any text
PIECES = ['},{"', '}\n{"', "},{", '"', "\\", "}", ",", "{", "x", "\n"]
TEXT = st.one_of(st.text(max_size=8), st.lists(st.sampled_from(PIECES), max_size=6).map("".join))
ROW = st.fixed_dictionaries(
    {},
    optional={
        "name": TEXT,
        "detail": st.one_of(
            TEXT, st.dictionaries(TEXT, TEXT, max_size=2), st.lists(TEXT, max_size=2), st.none()
        ),
        "mean": st.floats(),
        "step": st.integers(-(1 << 63), (1 << 63) - 1),
        "whole": st.booleans(),
        "unknown": TEXT,
    },
)


# a new checkout makes hypothesis' table of characters first, which takes seconds on a busy machine
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ROW, max_size=5))
@example(
    [
        {"name": '},{"'},
        {"name": '"},{"name":"'},
        {"unknown": "x"},
        {"mean": math.inf},
        {"detail": {'},{"': '"},{"'}},
    ]
)
@example([{"step": n} for n in range(2 * typed._BATCH + 1)])
def test_many_rows_are_written_as_each_alone(rows: list[dict[str, Any]]) -> None:
    text = "\n".join(typed.lines(rows, COLUMNS))
    assert text == "\n".join(typed.encode(typed.typed(row, COLUMNS)) for row in rows)
    assert len([json.loads(line) for line in text.split("\n") if line]) == len(rows)
