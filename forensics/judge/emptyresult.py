"""Why a question has no rows, where that is known: nothing to find, and nothing recorded, are two answers."""

from __future__ import annotations

import re
from collections.abc import Iterable

from forensics.judge.library import Library, Sql, needed
from forensics.judge.query import Detector, Query

_OF_A_RUN = {
    "steps",
    "loss_tokens",
    "gradients",
    "events",
    "batch_rows",
    "optimizers",
    "compiled",
    "saved_tensors",
    "generations",
}
"""Tables that hold rows of a watched run alone."""
_FACTS = {"saved_tensors": "saved"}
"""Tables whose fact of queries/lib/needs.sql bears another name."""


def why(session: Sql, library: Library, query: Query, a: str, b: str) -> str:
    """What a question without rows needs that is not there; nothing where it was simply answered."""
    if isinstance(query, Detector):
        missing = _missing(session, query.names("needs"), a, b) or query.text("nothing")
        return f"not evaluated: {missing}" if missing else ""
    tables = set(re.findall(r"(?i)(?<!distinct )\b(?:from|join)\s+(\w+)", query.body)) - {"captures"}
    tables -= set(re.findall(r"(?i)\b(\w+) as (?:materialized )?\(", query.body))
    if not tables or not tables <= _OF_A_RUN:
        return ""
    if not session.rows("SELECT watched(?) AS yes", [b])[0]["yes"]:
        return "a model at rest was not trained"
    return (
        _missing(
            session, [fact for table in tables if (fact := _FACTS.get(table, table)) in library.facts], a, b
        )
        or ""
    )


def _missing(session: Sql, facts: Iterable[str], a: str, b: str) -> str | None:
    return next((gap.needs for fact in facts if (gap := needed(session, fact, a, b)) is not None), None)
