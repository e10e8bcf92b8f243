"""The pair of captures that is judged, and the tables of queries/pair that detectors share.

DuckDB plans and runs a macro again wherever it is called. What several detectors ask of the same two captures
is therefore worked out once and kept in a TEMP table; detectors read it by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from forensics.judge.library import Library, Sql
from forensics.judge.query import Query

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

    def rows(self, query: Query) -> list[dict[str, Any]]:
        """The rows of a query of this pair.

        Raises:
            QueryError: DuckDB refuses it, or a table that it reads.
            MemoryError: it takes more than the session may.
        """
        return self._session.rows(*self._select(query))

    def fill(self, name: str) -> None:
        """Fill a table of the pair, and before it those that it reads; raises as `rows`."""
        if self._session.filled.get(name) == self.refs:
            return
        select, values = self._select(self._library.tables[name])
        self._session.filled.pop(name, None)
        self._session.rows(f"CREATE OR REPLACE TEMP TABLE {name} AS {select}", values)
        self._session.filled[name] = self.refs

    def _select(self, query: Query) -> tuple[str, list[str]]:
        """The statement that gives its rows, and its values.

        The query is a macro just for this call, which reads the filled tables.
        """
        for name in query.reads:
            self.fill(name)
        parameters = query.signature.partition("(")[2]
        self._session.script(f"CREATE OR REPLACE TEMP MACRO judged({parameters} AS TABLE\n{query.body}\n;")
        given: Mapping[str, str] = dict(zip(("a", "b"), self.refs, strict=True))
        values = [given[p.name] for p in query.params if p.default is None]
        return f"SELECT * FROM judged({', '.join('?' * len(values))})", values
