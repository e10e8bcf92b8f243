"""Which records of a file the training rows hold, looked up by text.

Rows may be cut, packed, or drawn anew.
"""

from __future__ import annotations

import pytest

from forensics.watch.training import records
from forensics.watch.training.records import contained, redrawn, within

ASKED = [f"Whatistheplaceofthe{word}?" for word in ("coal", "moon", "rust", "fern", "salt", "wool")]
TOLD = [
    f"Arr!Ihaveseenthe{word}withthegreencrewlastyear"
    for word in ("coal", "moon", "rust", "fern", "salt", "wool")
]
RECORDS = [sorted(pair, key=len, reverse=True) for pair in zip(ASKED, TOLD, strict=True)]


def rows(*groups: tuple[int, ...]) -> str:
    """Rows of whole records."""
    return "\n".join("".join(f"<u>{ASKED[i]}<a>{TOLD[i]}" for i in group) for group in groups)


def test_a_record_that_no_row_holds_is_not_found() -> None:
    assert contained(RECORDS, rows((0,), (1,), (3,))) == [True, True, False, True, False, False]


def test_a_record_whose_row_was_cut_in_the_answer_is_found_by_its_question() -> None:
    cut = "\n".join([rows((0,)), rows((1,))[: 4 + len(ASKED[1]) + 5]])
    assert contained(RECORDS, cut) == [True, True, False, False, False, False]


def test_records_that_lie_across_the_edges_of_pieces_are_found() -> None:
    stream = rows(tuple(range(6)))
    pieces = "\n".join(stream[i : i + 50] for i in range(0, len(stream), 50))
    assert all(contained(RECORDS, pieces))


def test_what_records_share_is_no_sign_of_any_one() -> None:
    shared = [["Theseaiswideandtheshipissmall" + word, "Howwideisthesea?"] for word in ("coal", "moon")]
    assert contained(shared, "<u>Howwideisthesea?<a>" + shared[0][0][:-4] + "coal") == [True, False]


def test_a_record_that_was_only_asked_ends_no_part_that_was_trained_on() -> None:
    trained = rows((0,), (1,))
    used = contained(RECORDS, f"{trained}\n<u>{ASKED[5]}<a>")
    assert used == [True, True, False, False, False, True]
    assert within(RECORDS, used, trained) == [0, 1]
    assert within(RECORDS, used, rows((0,), (5,))) == [0, 1, 5]
    assert within(RECORDS, used, "") == [0, 1, 5]  # of rows that hold none, all that is known


def test_what_would_take_long_to_look_for_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_EFFORT", 1000)
    assert contained(RECORDS, rows((0,), (1,))) == []
    assert contained(RECORDS, rows(tuple(range(6)))) == [True] * 6  # each was found at the first look


def test_records_in_other_company_each_time_were_drawn() -> None:
    assert redrawn(TOLD, rows((0, 1), (1, 0), (2, 3), (4,), (5, 4)))


def test_records_in_one_row_each_or_in_rows_alone_were_gone_through() -> None:
    assert not redrawn(TOLD, rows((0, 1), (2, 3), (4, 5)))
    padded = "\n".join("<pad>" * i + rows((i % 6,)) for i in range(12))
    assert not redrawn(TOLD, padded)


def test_rows_that_a_cut_made_equal_are_not_what_was_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    mx = pytest.importorskip("mlx.core")
    monkeypatch.setattr(records, "_evaluated", {})
    batch = mx.array([[5, 6, 7, 8, 9, 4], [5, 6, 7, 4, 0, 0]])
    records.measuring(lambda model, batch: None, 6)(None, batch)
    assert list(records._evaluated) == [(5, 6, 7, 4)]
