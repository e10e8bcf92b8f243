"""The library of questions: reads .sql files and their headers, and makes a table macro of each in a session.

`ask/` has questions, `detect/` detectors, `pair/` what several detectors share; `judge/query.py` says what a
file holds. A file of `pair/` is a table while a pair is judged, filled once (`judge/pair.py`), and a macro of
the same name for everybody else. Who reads one names it in the key `reads` and writes `FROM moves`. `lib/`
has macros of other shapes: single values, facts that detectors need.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

from forensics import schema
from forensics.errors import QueryError, near
from forensics.judge.query import Detector, Query, parse
from forensics.records import Unevaluated


class Sql(Protocol):
    """What the library asks of a session."""

    def rows(self, sql: str, params: Sequence[Any] = ..., /) -> list[dict[str, Any]]: ...
    def script(self, text: str, /) -> None: ...


@dataclass(frozen=True)
class Library:
    """All questions and detectors, tables of the pair, and files of helper macros.

    Questions and detectors are by name; a table of the pair stands after those that it reads.
    """

    queries: Mapping[str, Query]
    tables: Mapping[str, Query]
    helpers: Mapping[Path, str]

    @cached_property
    def detectors(self) -> tuple[Detector, ...]:
        return tuple(q for q in self.queries.values() if isinstance(q, Detector))

    @cached_property
    def questions(self) -> tuple[Query, ...]:
        return tuple(q for q in self.queries.values() if not isinstance(q, Detector))

    @cached_property
    def facts(self) -> tuple[str, ...]:
        """What `needs` may name: the macros need_<fact>(a, b) among the helpers."""
        return tuple(
            fact for text in self.helpers.values() for fact in re.findall(r"MACRO need_(\w+)\(a, b\)", text)
        )

    @cached_property
    def values(self) -> frozenset[str]:
        """The macros among the helpers that give one value of one argument, as run_of(b) does."""
        found = (re.findall(r"MACRO (\w+)\(\w+\) AS \(", text) for text in self.helpers.values())
        return frozenset(name for names in found for name in names)

    def get(self, name: str) -> Query:
        """The query of that name, with hyphens or underscores.

        Raises:
            QueryError: there is none; names the nearest.
        """
        query = self.queries.get(name) or self.queries.get(name.replace("_", "-"))
        if query is None:
            close = near(name, self.queries, likeness=0.5)
            hint = f"Did you mean {' or '.join(close)}?" if close else "forensics query lists them."
            raise QueryError(f"There is no query {name!r}.", where=name, hint=hint)
        return query

    def create(self, query: Query) -> str:
        """The statement that makes a query's macro.

        The macro works out for its own captures what the query reads of a pair.
        """
        calls = [f"{name} AS MATERIALIZED (FROM {self._called(name)})" for name in query.reads]
        body = f"WITH {', '.join(calls)}\nSELECT * FROM (\n{query.body}\n)" if calls else query.body
        return f"CREATE OR REPLACE MACRO {query.signature} AS TABLE\n{body}\n;"

    def _called(self, table: str) -> str:
        return f"{table}({', '.join(p.name for p in self.tables[table].params if p.default is None)})"

    def install_shared(self, session: Sql) -> None:
        """Make the macros that a diagnosis and a comparison ask: those of lib/, the questions, `paired`.

        A macro is bound when it is made, which takes a millisecond: those of other tables and of detectors
        are made where they are asked.
        Private helpers and queries may call any of ours by name: beside them all are made.

        Raises:
            QueryError: DuckDB refuses one; names the file.
        """
        # what asks of a pair (needs, private helpers) comes after the tables of the pair
        last = {
            path
            for path in self.helpers
            if path.name == "needs.sql" or path.parent.parent != schema.queries()
        }
        private = any(query.private for query in self.queries.values()) or len(last) > 1
        asked: Sequence[Query] = [self.tables["paired"], *self.questions]
        if private:
            asked = [*self.tables.values(), *self.questions]
        for path, text in self.helpers.items():
            if path not in last:
                _make(session, text, path)
        self.install_queries(session, [query for query in asked if not query.private])
        for path in self.helpers:
            if path in last:
                _make(session, self.helpers[path], path)
        self.install_queries(session, [query for query in asked if query.private])

    def install_queries(self, session: Sql, queries: Iterable[Query]) -> None:
        """Make the macros of these, and before them those of the tables that they read; raises as
        `install_shared`.
        """
        made: set[str] = set()
        for query in queries:
            self._install(session, query, made)

    def _install(self, session: Sql, query: Query, made: set[str]) -> None:
        if query.macro not in made:
            made.add(query.macro)
            for name in query.reads:
                self._install(session, self.tables[name], made)
            _make(session, self.create(query), query.path)

    def install(self, session: Sql) -> None:
        """Make every macro; raises as `install_shared`."""
        self.install_shared(session)
        self.install_queries(session, (*self.tables.values(), *self.queries.values()))


def load(private: Path | None = None) -> Library:
    """Our queries, read once a process, and those of a private directory beside them.

    Raises:
        QueryError: a header that breaks the rules, or a private query that bears the name of one of ours.
    """
    return _read(private) if private is not None else _ours()


@cache
def _ours() -> Library:
    return _read(None)


def _read(private: Path | None) -> Library:
    ours = schema.queries()
    queries: dict[str, Query] = {}
    helpers = {path: path.read_text(encoding="utf-8") for path in _helpers(ours)}
    tables = _tables(sorted((ours / "pair").glob("*.sql")))
    paths = [
        (path, False)
        for folder in ("ask", "detect")
        for path in sorted((ours / folder).rglob("*.sql"), key=lambda path: path.name)
    ]
    if private is not None:
        helpers |= {path: path.read_text(encoding="utf-8") for path in _helpers(private)}
        paths += [(path, True) for path in sorted(private.rglob("*.sql")) if path.parent.name != "lib"]
    for path, mine in paths:
        query = parse(path, path.read_text(encoding="utf-8"), private=mine)
        if query.name in queries:
            raise QueryError(
                f"There are two queries named {query.name}.",
                str(path),
                f"Rename one; the other is {queries[query.name].path}",
            )
        for name in query.reads:
            if name not in tables:
                raise QueryError(
                    f"reads names {name!r}, which is no table of the pair.",
                    str(path),
                    f"Tables: {', '.join(tables)}.",
                )
        queries[query.name] = query
    return Library(queries, tables, helpers)


def _helpers(directory: Path) -> list[Path]:
    """Files of helper macros in the order in which they load.

    A macro is bound when it is made, and all build on refs.
    """
    return sorted((directory / "lib").glob("*.sql"), key=lambda path: (path.name != "refs.sql", path.name))


def _tables(paths: Sequence[Path]) -> dict[str, Query]:
    """Tables of the pair, each after those that it reads.

    Raises:
        QueryError: a name that a table of schema.sql bears (it would be hidden), a table that is read and is
        none, a circle.
    """
    waiting = {
        query.macro: query for query in (parse(path, path.read_text(encoding="utf-8")) for path in paths)
    }
    for name in waiting.keys() & schema.tables().keys():
        raise QueryError(
            f"A table of schema.sql is named {name}.",
            str(waiting[name].path),
            "Give the table of the pair another name.",
        )
    tables: dict[str, Query] = {}
    while waiting:
        ready = [name for name, query in waiting.items() if all(read in tables for read in query.reads)]
        if not ready:
            name, query = next(iter(waiting.items()))
            raise QueryError(
                f"{name} reads what is no table of the pair, or reads it.",
                str(query.path),
                "Mend its key `reads`.",
            )
        tables |= {name: waiting.pop(name) for name in ready}
    return tables


def _make(session: Sql, text: str, path: Path) -> None:
    try:
        session.script(text)
    except QueryError as error:
        raise QueryError(f"DuckDB refuses it: {error.message}", str(path), "Mend the SQL.") from error


@dataclass(frozen=True)
class Gap:
    """A fact that is not there: why, what is needed in words, and how to capture it if that helps."""

    kind: Unevaluated
    needs: str
    how: str = ""


def needed(session: Sql, fact: str, a: str, b: str) -> Gap | None:
    """What is missing of a fact, or None where it is there."""
    row = session.rows(f"SELECT * FROM need_{fact}(?, ?)", [a, b])[0]
    if "gap" in row:
        return None if row["gap"] is None else Gap(**row["gap"])
    # a private fact in words alone
    return None if row["missing"] is None else Gap("unseen", str(row["missing"]))
