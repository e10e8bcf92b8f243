"""Captures as tables: an in-memory DuckDB over just the captures that a question is about.

The only module that opens DuckDB beside the catalogue. Once `lock` was called no SQL reaches a file, an
extension or a setting. `loader.py` fills a session.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics import schema
from forensics.errors import DamagedEvidence
from forensics.records import RawTensor, Row
from forensics.store.dberrors import one_select, refusing
from forensics.store.packs import Packs
from forensics.typed import lines, typed

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

REFS_COLUMNS = {"ref": "VARCHAR", "capture": "VARCHAR", "run": "VARCHAR"}
REFS = "CREATE TABLE refs (ref VARCHAR, capture VARCHAR, run VARCHAR)"
CLOSED = (
    "temp_directory=''",
    "max_temp_directory_size='0B'",
    "enable_external_access=false",
    "autoload_known_extensions=false",
    "autoinstall_known_extensions=false",
    "allow_community_extensions=false",
    "allow_unsigned_extensions=false",
    "allow_persistent_secrets=false",
    "python_enable_replacements=false",
)
"""Settings of a session that holds strangers' evidence or runs strangers' SQL."""


_MANY = 100_000
"""Rows of a table from which on a question over it is worth a second thread (DuckDB cuts at 122,880)."""


class Session:
    """Tables of queries/schema.sql and `refs`, filled. Not safe for several threads at once."""

    def __init__(self, connection: DuckDBPyConnection, packs: Sequence[Packs] = ()) -> None:
        self._connection, self._packs, self._locked = connection, packs, False
        # TEMP tables of a pair of captures, and the pair (judge/pair.py)
        self.filled: dict[str, tuple[str, str]] = {}

    def rows(self, sql: str, params: Sequence[Any] | Mapping[str, Any] = ()) -> list[dict[str, Any]]:
        """The rows of one statement as dictionaries.

        Raises:
            QueryError: DuckDB refuses it.
        """
        columns, rows = self.ask(sql, params)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def ask(
        self, sql: str, params: Sequence[Any] | Mapping[str, Any] = ()
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Column names and rows of one statement; raises as `rows`."""
        with refusing(sql):
            cursor = self._connection.execute(sql, params or None)
            return [d[0] for d in cursor.description or ()], cursor.fetchall()

    def stream(
        self, sql: str, batch: int, params: Sequence[Any] = ()
    ) -> tuple[list[tuple[str, str]], Iterator[list[tuple[Any, ...]]]]:
        """Names and types of the columns of one SELECT, and its rows `batch` at a time.

        Raises:
            QueryError: DuckDB refuses it, or it is no single SELECT, EXPLAIN or DESCRIBE. The rows raise it
            too.
            MemoryError: it takes more than the session may.
        """
        with refusing(sql):
            cursor = self._connection.execute(one_select(self._connection, sql), list(params) or None)
            names = [(d[0], str(d[1])) for d in cursor.description or ()]

        def batches() -> Iterator[list[tuple[Any, ...]]]:
            with refusing(sql):
                while rows := cursor.fetchmany(batch):
                    yield rows

        return names, batches()

    def select(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows of one SELECT of the user's; raises as `stream`.

        What a statement inside it would change stays as it is.
        """
        with refusing(sql):
            one_select(self._connection, sql)
        self._connection.execute("BEGIN TRANSACTION READ ONLY")
        try:
            return self.rows(sql, params)
        finally:
            self._connection.execute("ROLLBACK")

    def script(self, text: str) -> None:
        """Run statements, for macros of the library; raises as `rows`."""
        with refusing(text):
            self._connection.execute(text)

    def insert(self, table: str, rows: Iterable[Row]) -> None:
        """Add rows to a table of schema.sql, as the judge does with differences that it measured."""
        columns = schema.tables().get(table) or REFS_COLUMNS
        plain = [typed(row, columns) for row in rows]
        if plain:
            lists = ", ".join(
                f'unnest(${i}::{kind}[]) AS "{name}"' for i, (name, kind) in enumerate(columns.items(), 1)
            )
            self._connection.execute(
                f"INSERT INTO {table} SELECT {lists}", [[row.get(name) for row in plain] for name in columns]
            )

    def alias(self, text: str, capture: str | None, run: str | None) -> None:
        """Let `text` stand for a capture in `refs`; a word that is there already keeps its meaning."""
        self._connection.execute(
            "INSERT INTO refs SELECT $1, $2, $3 WHERE $1 NOT IN (SELECT ref FROM refs)", [text, capture, run]
        )

    def lock(self, memory: str = "4GB", threads: int = 2) -> None:
        """From here on no SQL reaches files, extensions or settings.

        `threads` at most: over small tables a second one costs more processor time than it saves.
        """
        if self._locked:
            return
        self._locked = True
        threads = threads if self.largest() > _MANY else 1
        for setting in (*CLOSED, f"memory_limit='{memory}'", f"threads={threads}", "lock_configuration=true"):
            self._connection.execute(f"SET {setting}")

    def largest(self) -> int:
        """The rows of the table that has most, roughly."""
        return int(self.ask("SELECT max(estimated_size) FROM duckdb_tables()")[1][0][0] or 0)

    def read(self, digest: str) -> RawTensor | None:
        """The bytes of a tensor that one of the stores keeps, else None."""
        for packs in self._packs:
            with suppress(DamagedEvidence):
                if (raw := packs.read(digest)) is not None:
                    return raw
        return None

    def export(self, directory: Path) -> None:
        """Write all rows, of every table of schema.sql and of `refs`, as lines of JSON.

        `reopened` reads them in another process.
        """
        for table, columns in {**schema.tables(), "refs": REFS_COLUMNS}.items():
            names, records = self.ask(f"SELECT * FROM {table}")
            if records:
                rows = (dict(zip(names, row, strict=True)) for row in records)
                text = "\n".join(lines(rows, columns))
                (directory / f"{table}.jsonl").write_bytes((text + "\n").encode("utf-8", "surrogatepass"))

    def close(self) -> None:
        """Free the tables."""
        self._connection.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def from_rows(tables: Mapping[str, Sequence[Row]]) -> Session:
    """The same tables with rows made by hand."""
    session = Session(fresh())
    for table, rows in tables.items():
        session.insert(table, rows)
    fill_refs(session._connection)
    return session


def reopened(directory: Path) -> Session:
    """The tables that `Session.export` wrote."""
    session = Session(fresh())
    for table, columns in {**schema.tables(), "refs": REFS_COLUMNS}.items():
        path = directory / f"{table}.jsonl"
        if path.exists():
            query = read_json(table, columns, compression="none")
            session._connection.execute(f"INSERT INTO {table} {query}", {"files": [glob.escape(str(path))]})
    return session


def read_json(table: str, columns: Mapping[str, str], select: str = "*", compression: str = "gzip") -> str:
    """The query that reads rows of a table from the files in parameter `$files`."""
    form = f"format='newline_delimited', compression='{compression}', maximum_object_size=268435456"
    return f"SELECT {select} FROM read_json($files, columns={dict(columns)!r}, {form})"


def fresh() -> DuckDBPyConnection:
    """An empty DuckDB in memory with the tables of schema.sql and `refs`."""
    from forensics.store.database import duckdb  # import time: DuckDB

    connection = duckdb.connect(":memory:")
    connection.execute(schema.text())
    connection.execute(REFS)
    return connection


def fill_refs(connection: DuckDBPyConnection) -> None:
    """Let every capture and run that the tables hold, and `refs` does not name yet, stand for itself."""
    connection.execute(
        "INSERT INTO refs SELECT DISTINCT capture, capture, run FROM captures"
        " WHERE capture NOT IN (SELECT ref FROM refs)"
    )
    connection.execute("""
        INSERT INTO refs SELECT DISTINCT ON (run) run, capture, run FROM captures
        WHERE run IS NOT NULL AND run NOT IN (SELECT ref FROM refs)
        ORDER BY run, regexp_matches(capture, ':m[0-9]+$'), point IS DISTINCT FROM 'end', sequence DESC
    """)
    connection.execute(
        "INSERT INTO refs SELECT DISTINCT run, NULL, run FROM runs WHERE run NOT IN (SELECT ref FROM refs)"
    )
