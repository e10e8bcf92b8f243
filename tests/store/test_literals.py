"""Names in a statement replaced by values."""

from __future__ import annotations

import pytest

from forensics.store.literals import literal, quoted, with_literals


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("select a, t.a, a.t, 'a', \"a\" from f(a)", "select 1, t.a, a.t, 'a', \"a\" from f(1)"),
        ("select x -- a\nwhere x > a", "select x -- a\nwhere x > 1"),
        ("select share, least(share, 2), least", "select 0.5, least(0.5, 2), 3"),
        ("select 'ä', a, ab, l[a]", "select 'ä', 1, ab, l[1]"),
        ("select t . a, a\n.x, a + a", "select t . a, a\n.x, 1 + 1"),
    ],
)
def test_names_that_stand_alone_are_replaced(text: str, said: str) -> None:
    assert with_literals(text, {"a": "1", "share": "0.5", "least": "3"}) == said


def test_a_text_is_quoted() -> None:
    assert quoted("it's") == "'it''s'"
    assert with_literals("select b", {"b": quoted("run's@end")}) == "select 'run''s@end'"


def test_what_a_function_says_of_a_name_stands_in_place_of_its_call() -> None:
    asked = []

    def call(name: str, argument: str) -> str | None:
        asked.append((name, argument))
        return "'night'" if name == "run_of" else None

    text = "select run_of(b), run_of( b ), x.run_of(b), class_of(b), run_of(c), 'run_of(b)' -- run_of(b)"
    said = (
        "select 'night', 'night', x.run_of('n@end'), class_of('n@end'), run_of(c), 'run_of(b)' -- run_of(b)"
    )
    assert with_literals(text, {"b": "'n@end'"}, call) == said
    assert set(asked) == {("run_of", "b"), ("class_of", "b")}


@pytest.mark.parametrize(
    ("value", "text"),
    [("it's", "'it''s'"), (True, "true"), (7, "7"), (None, "NULL"), (0.5, None), (["a"], None)],
)
def test_texts_numbers_and_truths_are_written_as_sql(value: object, text: str | None) -> None:
    assert literal(value) == text
