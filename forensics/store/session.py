"""Captures as tables: an in-memory DuckDB over just the captures that a question is about.

The only module that opens DuckDB beside the catalogue. Members are compared with their digests as they are
read, and once `lock` was called no SQL reaches a file, an extension or a setting.
"""

from __future__ import annotations

import glob
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics import files, schema
from forensics.errors import DamagedEvidence
from forensics.records import RawTensor, Row
from forensics.store import once, unsealed
from forensics.store.dberrors import first_line, one_select, refusing
from forensics.store.manifest import checked, read_manifest, run_of
from forensics.store.packs import Packs
from forensics.store.store import Capture, Run
from forensics.typed import lines, typed

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

REFS_COLUMNS = {"ref": "VARCHAR", "capture": "VARCHAR", "run": "VARCHAR"}
REFS = "CREATE TABLE refs (ref VARCHAR, capture VARCHAR, run VARCHAR)"
_NAMES = {
    "capture",
    "run",
    "probes_of",
    "capture_a",
    "capture_b",
    "capture_adapter",
    "capture_fused",
    "a",
    "b",
}
"""Columns that hold the ref of a capture or the name of a run."""
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


@dataclass(frozen=True, slots=True)
class _Source:
    """A directory whose rows are read.

    Its stored names are replaced where the user's word for it is another.
    """

    path: Path
    stored: tuple[str, str]  # capture ref and run name as its rows have them
    wanted: tuple[str, str]
    prefix: str
    owner: str

    @property
    def renamed(self) -> bool:
        return self.stored != self.wanted


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
        (rows,) = self.ask("SELECT max(estimated_size) FROM duckdb_tables()")[1][0]
        threads = threads if (rows or 0) > _MANY else 1
        for setting in (*CLOSED, f"memory_limit='{memory}'", f"threads={threads}", "lock_configuration=true"):
            self._connection.execute(f"SET {setting}")

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


def open_session(
    captures: Iterable[Capture],
    runs: Iterable[Run],
    typed_refs: Mapping[str, str] | None = None,
    *,
    apart: bool = True,
) -> Session:
    """Tables over these captures and runs.

    Args:
        typed_refs: what the user typed to the ref of a capture or the name of a run, for `refs`.
        apart: where what several people measured is compared with each other; not where each run is judged
        for itself (see `once.fill`).

    Raises:
        DamagedEvidence: a member is missing, differs from its digest, or holds rows that are none.
    """
    wanted, whole = _once(captures), _once(runs)
    stores = {id(x.store): x.store.packs for x in [*wanted, *whole] if x.store is not None}
    session = Session(_fresh(), list(stores.values()))
    session.insert("runs", [_run_row(r) for r in whole])
    session.insert("captures", [_head(c) for c in wanted])
    sources = [_capture_source(c) for c in wanted] + [_run_source(r) for r in whole if r.path]
    members: dict[str, list[tuple[Path, _Source]]] = {}
    for source in sources:
        manifest = read_manifest(source.path)
        names = [n for n in manifest.files if n.startswith("tables/")]
        for path in checked(source.path, manifest, names):
            members.setdefault(path.name.removesuffix(".jsonl.gz"), []).append((path, source))
    owners = {c.ref: _owner(c) for c in wanted}
    for table in sorted(
        members.keys() & schema.tables().keys() - {"runs", "captures"}, key=lambda name: name in once.KEYS
    ):
        _load(session._connection, table, members[table], owners, apart)
    fill_refs(session._connection)
    for text, ref in (typed_refs or {}).items():
        refs = session.rows("SELECT capture, run FROM refs WHERE ref = $1", [ref])
        if refs:
            session.alias(text, refs[0]["capture"], refs[0]["run"])
    return session


def from_rows(tables: Mapping[str, Sequence[Row]]) -> Session:
    """The same tables with rows made by hand."""
    session = Session(_fresh())
    for table, rows in tables.items():
        session.insert(table, rows)
    fill_refs(session._connection)
    return session


def reopened(directory: Path) -> Session:
    """The tables that `Session.export` wrote."""
    session = Session(_fresh())
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


def _load(
    connection: DuckDBPyConnection,
    table: str,
    members: Sequence[tuple[Path, _Source]],
    owners: Mapping[str, str],
    apart: bool,
) -> None:
    from forensics.store.database import duckdb  # import time: DuckDB

    columns = schema.tables()[table]
    groups: dict[tuple[str, _Source | None], list[str]] = {}
    for path, source in members:
        groups.setdefault((source.owner, source if source.renamed else None), []).append(
            glob.escape(files.spelled(path))
        )
    parts: dict[str, list[str]] = {}
    params: dict[str, list[str]] = {}
    for number, ((owner, renamed), paths) in enumerate(groups.items()):
        select = ", ".join(_renamed(c, renamed) for c in columns) if renamed else "*"
        parts.setdefault(owner, []).append(
            read_json(table, columns, select).replace("$files", f"$files{number}")
        )
        params[f"files{number}"] = paths
    try:
        if table in once.OWNED and len(set(owners.values())) > 1:
            by_owner = {owner: " UNION ALL ".join(queries) for owner, queries in parts.items()}
            once.fill(connection, table, by_owner, owners, params, apart=apart)
        else:
            query = " UNION ALL ".join(itertools.chain.from_iterable(parts.values()))
            connection.execute(
                f"INSERT INTO {table} {once.distinct_rows(query, table) if table in once.KEYS else query}",
                params,
            )
    except duckdb.Error as error:
        where = str(members[0][0] if len(members) == 1 else members[0][0].parent)
        raise DamagedEvidence(
            f"The rows of {table} cannot be read: {first_line(error)}",
            where=where,
            hint="Run `forensics verify`; capture again.",
        ) from error


def _renamed(column: str, source: _Source) -> str:
    """SQL that puts the user's words in place of stored names."""
    if column not in _NAMES:
        return f'"{column}"'
    cases = "".join(
        f" WHEN {_quoted(old)} THEN {_quoted(new)}"
        for old, new in zip(source.stored, source.wanted, strict=True)
        if old
    )
    other = f'"{column}"'
    if source.prefix:
        begins = f'starts_with("{column}", {_quoted(source.stored[1] + "@")})'
        other = f'CASE WHEN {begins} THEN {_quoted(source.prefix)} || "{column}" ELSE "{column}" END'
    return f'CASE "{column}"{cases} ELSE {other} END AS "{column}"'


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _head(c: Capture) -> Row:
    again = c.head.get("probes_of")
    return {**c.head, "capture": c.ref, "run": c.run, "probes_of": c.prefix + str(again) if again else None}


def _owner(record: Capture | Run) -> str:
    """Who measured it; see `Store.owner_of`."""
    run = record.run if isinstance(record, Capture) else record.name
    return record.store.owner_of(run.removeprefix(record.prefix)) if record.store is not None else once.OURS


def _run_row(r: Run) -> Row:
    if r.path:
        row: Row = {**r.head, "run": r.name}
        lost = [lost_capture(ref) for ref in r.lost()]
        return {**row, "complete": False, "missing": json.dumps([*_missing(r.head), *lost])} if lost else row
    return unsealed.row(r.store.root if r.store else None, r.name, r.name.removeprefix(r.prefix))


def lost_capture(ref: str) -> dict[str, Any]:
    """What is missing where a capture that the run had when it was sealed is gone."""
    why = "it was there when the run was sealed, and is gone"
    return {"what": f"the capture {ref}", "why": why, "kind": "capture"}


def _missing(head: Row) -> list[Any]:
    try:
        gaps = json.loads(str(head.get("missing") or "[]"))
    except ValueError:
        return []
    return gaps if isinstance(gaps, list) else []


def _capture_source(c: Capture) -> _Source:
    ref = str(c.head.get("capture") or c.ref.removeprefix(c.prefix))
    run = str(c.head.get("run") or run_of(ref))
    return _Source(c.path, (ref, run), (c.ref, c.run), c.prefix, _owner(c))


def _run_source(r: Run) -> _Source:
    assert r.path is not None
    return _Source(r.path, ("", str(r.head.get("run") or r.path.name)), ("", r.name), r.prefix, _owner(r))


def _once(items: Iterable[Any]) -> list[Any]:
    """Without repeats, by ref or name."""
    return list({getattr(item, "ref", None) or item.name: item for item in items}.values())


def _fresh() -> DuckDBPyConnection:
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
