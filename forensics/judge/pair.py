"""The pair of captures that is judged, and the tables of queries/pair that detectors share.

DuckDB plans and runs a macro again wherever it is called. What several detectors ask of the same two captures
is therefore worked out once and kept in a TEMP table; detectors read it by its name. One value of a ref, as
run_of(b), is asked once, and stands in their statements as it is.
"""

from __future__ import annotations

from typing import Any, Protocol

from forensics.judge.library import Library, Sql
from forensics.judge.query import Query
from forensics.store.literals import literal, quoted, with_literals

Refs = tuple[str, str]


class Session(Sql, Protocol):
    """A session knows for which pair each of its TEMP tables was filled."""

    filled: dict[str, Refs]


def paired(session: Session, a: str, b: str) -> None:
    """Fill the table `paired` alone, for those that compare two captures and ask no detector."""
    if session.filled.get("paired") != (a, b):
        session.rows("CREATE OR REPLACE TEMP TABLE paired AS SELECT * FROM paired(?, ?)", [a, b])
        session.filled["paired"] = a, b


class Pair:
    """Two captures by ref, in one session. Several pairs may take turns.

    A table is filled again where the other's rows are in it.
    """

    def __init__(self, session: Session, library: Library, a: str, b: str) -> None:
        self._session, self._library, self.refs = session, library, (a, b)
        self._values: dict[tuple[str, str], str | None] = {}

    def rows(self, query: Query) -> list[dict[str, Any]]:
        """The rows of a query of this pair.

        Raises:
            QueryError: DuckDB refuses it, or a table that it reads.
            MemoryError: it takes more than the session may.
        """
        return self._session.rows(self._select(query))

    def fill(self, name: str) -> None:
        """Fill a table of the pair, and before it those that it reads; raises as `rows`."""
        if self._session.filled.get(name) == self.refs:
            return
        select = self._select(self._library.tables[name])
        self._session.filled.pop(name, None)
        self._session.rows(f"CREATE OR REPLACE TEMP TABLE {name} AS {select}")
        self._session.filled[name] = self.refs

    def _select(self, query: Query) -> str:
        """The statement that gives its rows: its SELECT with the pair's refs, on the filled tables."""
        for name in query.reads:
            self.fill(name)
        given = dict(zip(("a", "b"), map(quoted, self.refs), strict=True))
        texts = {p.name: p.default or given[p.name] for p in query.params}
        return with_literals(query.body, texts, lambda name, argument: self._value(name, texts[argument]))

    def _value(self, name: str, argument: str) -> str | None:
        """What a helper macro says of a ref, as SQL; None where it is no such macro, or no plain value."""
        if name not in self._library.values:
            return None
        if (name, argument) not in self._values:
            rows = self._session.rows(f"SELECT v, typeof(v) AS type FROM (SELECT {name}({argument}) AS v)")
            text = literal(rows[0]["v"])
            self._values[name, argument] = text and f"{text}::{rows[0]['type']}"
        return self._values[name, argument]
