"""Texts that leave token by token: a secret is found in the text that its tokens make together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

Spans = Callable[[str], list[tuple[int, int]]]
_GROUPS = {
    "loss_tokens": (("run", "process", "model", "step", "forward", "row"), ("next_token", "token")),
    "tokens": (("capture", "prompt_id"), ("token",)),
}
"""Of each table: the columns by which rows belong to one text, and those that hold its tokens."""
_PRIVATE = (
    "input_id",
    "target_id",
    "token_id",
    "top",
)  # ids of the same tokens, and what else might stand there
_AS_TEXT = str.maketrans("\u0120\u2581\u010a", "  \n")  # how vocabularies write a space and a line's end
HIDDEN = "[hidden]"


def without(table: str, rows: Iterable[Mapping[str, Any]], spans: Spans) -> Iterator[Mapping[str, Any]]:
    """The rows of a table, of which those whose token is part of a secret bear neither text nor id.

    Args:
        spans: where secrets stand in a text, as (start, end).
    """
    if table not in _GROUPS:
        yield from rows
        return
    belongs, columns = _GROUPS[table]
    for _, group in groupby(rows, lambda row: tuple(row.get(column) for column in belongs)):
        text = list(group)
        secret = {n for column in columns for n in _within(text, column, spans)}
        for n, row in enumerate(text):
            # an input's id stands one row behind its text
            yield (
                _bare(row, columns)
                if n in secret
                else _bare(row, ())
                if n - 1 in secret or n + 1 in secret
                else row
            )


def _within(rows: list[Mapping[str, Any]], column: str, spans: Spans) -> Iterator[int]:
    """Numbers of the rows whose token stands in a secret."""
    tokens = [str(row.get(column) or "").translate(_AS_TEXT) for row in rows]
    found = spans("".join(tokens))
    end = 0
    for n, token in enumerate(tokens):
        start, end = end, end + len(token)
        if any(start < last and first < end for first, last in found):
            yield n


def _bare(row: Mapping[str, Any], columns: tuple[str, ...]) -> dict[str, Any]:
    held = {key: value for key, value in row.items() if key not in _PRIVATE}
    return held | {column: HIDDEN for column in columns if row.get(column) is not None}
