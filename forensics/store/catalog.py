"""catalog.duckdb: all captures of a store as one DuckDB file, for `sql` and for any other DuckDB client.

A cache, never evidence: it is written aside and renamed, so readers of the old file go on reading it, and
what changed since is put into a copy of it. Runs are the unit: a run of which any directory changed is taken
out and read again.
"""

from __future__ import annotations

import atexit
import glob
import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from forensics import files, schema
from forensics.errors import DamagedEvidence, UsageError
from forensics.records import Row
from forensics.store import once, verdicts
from forensics.store.dberrors import first_line
from forensics.store.heads import stamps
from forensics.store.manifest import contents, read_manifest, run_of
from forensics.store.session import CLOSED, REFS, Session, fill_refs, read_json
from forensics.store.store import Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

NAME = "catalog.duckdb"
STORAGE = "v1.0.0"
"""DuckDB 2.0 files do not open in 1.x unless made for it."""
_KEPT = """
CREATE SCHEMA forensics;
CREATE TABLE forensics.sources (entry VARCHAR, run VARCHAR, stamp VARCHAR);
CREATE TABLE forensics.catalog (schema VARCHAR, library VARCHAR);
"""
Install = Callable[[Session], None]
Note = Callable[[str], None]


def up_to_date(
    store: Store,
    install: Install,
    library: str,
    note: Note = lambda line: None,
    step: Note = lambda line: None,
) -> Path:
    """The catalogue's file, with everything in it that the store holds.

    Args:
        install: makes the library's macros in a session.
        library: what identifies the library; another one is installed again.
        note: is given one line for each directory that is damaged and left out.
        step: is given what is read, one line a table, for a progress display.
    """
    odd = "?" in str(store.root)  # DuckDB puts the name of its log before a question mark
    from forensics.store.database import duckdb  # import time: DuckDB

    home = store.root if os.access(store.root, os.W_OK) and not odd else _elsewhere()
    target = home / NAME
    with files.waited(home / "catalog.lock"):
        now = _wanted(store)
        version = hashlib.sha256(schema.text().encode()).hexdigest()
        before, old_version, old_library = _state(target)
        if old_version != version:
            before = {}
        changed = {
            run
            for entry, (run, stamp) in {**before, **now}.items()
            if before.get(entry) != now.get(entry) or entry not in now
        }
        if not changed and old_version == version and old_library == library:
            return target
        part = files.aside(target)
        try:
            small = len(changed) < 0.5 * len({run for run, _ in now.values()}) + 1
            if before and small and not store.brought and old_version == version:
                files.copy(target, part)
                _refresh(store, part, now, changed, note, step)
            else:
                _build(store, part, now, version, note, step)
            _install(part, install, library)
            part.replace(target)
        except (OSError, duckdb.Error) as error:
            why = first_line(error) if isinstance(error, duckdb.Error) else error.strerror or str(error)
            hint = "Free some space there, or set TMPDIR and --store to a place that has some."
            raise UsageError(
                f"The store's catalogue cannot be written: {why}.", where=str(home), hint=hint
            ) from error
        finally:
            part.unlink(missing_ok=True)
            part.with_name(part.name + ".wal").unlink(missing_ok=True)
    return target


@cache
def _elsewhere() -> Path:
    """Where the catalogue of a store is made that may only be read; gone with the process."""
    place = tempfile.TemporaryDirectory(prefix="forensics-")
    atexit.register(place.cleanup)
    return Path(place.name)


def reader(path: Path, memory: str, threads: int, prepare: Install | None = None) -> Session:
    """A session over the catalogue that can only read it.

    `prepare` makes further macros before it is locked.
    """
    from forensics.store.database import duckdb  # import time: DuckDB

    connection = duckdb.connect(":memory:")
    connection.execute(
        f"ATTACH '{files.spelled(path).replace(chr(39), chr(39) * 2)}' AS evidence (READ_ONLY)"
    )
    connection.execute("USE evidence")
    session = Session(connection)
    if prepare is not None:
        prepare(session)
    for setting in (*CLOSED, f"memory_limit='{memory}'", f"threads={threads}", "lock_configuration=true"):
        connection.execute(f"SET {setting}")
    return session


def _wanted(store: Store) -> dict[str, tuple[str, str]]:
    """Entry to its run and stamp; what `diagnose` said of a run belongs to the run."""
    wanted = {entry: (run_of(entry.partition("/")[2]), stamp) for entry, stamp in stamps(store).items()}
    for path in (store.root / "findings").glob("*.json"):
        wanted[f"findings/{path.name}"] = (path.stem, str(path.stat().st_mtime_ns))
    return wanted


def _state(path: Path) -> tuple[dict[str, tuple[str, str]], str | None, str | None]:
    """What a catalogue holds; nothing where there is none or it cannot be read: then it is built anew."""
    from forensics.store.database import duckdb  # import time: DuckDB

    if not path.exists():
        return {}, None, None
    try:
        with duckdb.connect(files.spelled(path), read_only=True) as connection:
            rows = connection.execute("SELECT entry, run, stamp FROM forensics.sources").fetchall()
            version, library = connection.execute("SELECT schema, library FROM forensics.catalog").fetchall()[
                0
            ]
    except (duckdb.Error, IndexError):
        return {}, None, None
    return {entry: (run, stamp) for entry, run, stamp in rows}, version, library


def _build(
    store: Store, path: Path, now: dict[str, tuple[str, str]], version: str, note: Note, step: Note
) -> None:
    with _writing(path) as connection:
        connection.execute(schema.text())
        connection.execute(REFS)
        connection.execute(_KEPT)
        connection.execute("INSERT INTO forensics.catalog VALUES ($1, NULL)", [version])
        _fill(store, connection, now, note, step)


def _refresh(
    store: Store, path: Path, now: dict[str, tuple[str, str]], changed: set[str], note: Note, step: Note
) -> None:
    with _writing(path) as connection:
        step("what changed")
        connection.execute("BEGIN")
        connection.execute("CREATE TEMP TABLE gone AS SELECT unnest($1::VARCHAR[]) AS run", [sorted(changed)])
        connection.execute(
            "CREATE TEMP TABLE gone_names AS SELECT run AS name FROM gone UNION SELECT capture FROM captures"
            " WHERE run IN (FROM gone)"
        )
        for table, columns in schema.tables().items():
            named = [c for c in ("run", "capture", "capture_b", "capture_fused", "b") if c in columns]
            if named:
                condition = " OR ".join(f'"{c}" IN (FROM gone_names)' for c in named)
                connection.execute(f"DELETE FROM {table} WHERE {condition}")
        connection.execute(
            "DELETE FROM tensors WHERE digest NOT IN (SELECT digest FROM placements WHERE digest IS NOT NULL)"
        )
        connection.execute("DELETE FROM refs")
        connection.execute("DELETE FROM forensics.sources WHERE run IN (FROM gone)")
        connection.execute("COMMIT")
        _fill(
            store,
            connection,
            {entry: (run, stamp) for entry, (run, stamp) in now.items() if run in changed},
            note,
            step,
        )


def _fill(
    store: Store, connection: DuckDBPyConnection, wanted: dict[str, tuple[str, str]], note: Note, step: Note
) -> None:
    session = Session(connection)
    heads: dict[str, list[Any]] = {"runs": [], "captures": []}
    owners: dict[str, str] = {}
    with _Spread(store.root) as spread:
        step("files")
        for entry, (run, _) in wanted.items():
            kind = entry.partition("/")[0]
            if kind != "findings":
                try:
                    head = spread.take(store.root / entry, store.owner_of(run))
                    heads[kind].append(head)
                    owners[str(head.get("capture"))] = store.owner_of(run)
                except DamagedEvidence as error:
                    note(f"{entry} is left out: {error.message}")
        for table, rows in heads.items():
            session.insert(table, rows)
        for table in sorted(spread.paths, key=lambda name: name in once.KEYS):
            step(table)
            _load(connection, table, spread.paths[table], owners)
    for entry, (run, _) in wanted.items():
        if entry.startswith("findings/"):
            session.insert("findings", verdicts.rows(verdicts.recall(store, run) or {}))
    fill_refs(connection)
    sources = [(entry, run, stamp) for entry, (run, stamp) in wanted.items()]
    connection.execute(
        "INSERT INTO forensics.sources"
        " SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[]), unnest($3::VARCHAR[])",
        [list(column) for column in zip(*sources, strict=True)] if sources else [[], [], []],
    )


class _Spread:
    """The rows of many small files in one large file a table.

    Opening each small file in DuckDB costs more than what is in it.
    """

    def __init__(self, root: Path) -> None:
        self._place = tempfile.TemporaryDirectory(
            prefix=f"catalog~{os.getpid()}-", dir=root if os.access(root, os.W_OK) else None
        )
        self._files: dict[str, dict[str, IO[bytes]]] = {}  # table, owner

    @property
    def paths(self) -> dict[str, dict[str, Path]]:
        """Table to the files of each owner, all that was taken written out."""
        for file in self._all():
            file.flush()
        return {
            table: {owner: Path(file.name) for owner, file in files.items()}
            for table, files in self._files.items()
        }

    def _all(self) -> Iterator[IO[bytes]]:
        return (file for files in self._files.values() for file in files.values())

    def take(self, path: Path, owner: str) -> Row:
        """Add the rows of one directory, which `owner` measured; returns its head.

        Raises:
            DamagedEvidence: a member is missing or differs from its digest; nothing of the directory was
            added.
        """
        manifest = read_manifest(path)
        names = [n for n in manifest.files if n.startswith("tables/")]
        lines = {
            n: gzip.decompress(data) for n, data in zip(names, contents(path, manifest, names), strict=True)
        }
        for name, text in lines.items():
            table = name.removeprefix("tables/").removesuffix(".jsonl.gz")
            if table in schema.tables() and table not in ("runs", "captures"):
                files = self._files.setdefault(table, {})
                if owner not in files:
                    files[owner] = (Path(self._place.name) / f"{table}-{len(files)}.jsonl").open("wb")
                files[owner].write(text)
        return manifest.head

    def __enter__(self) -> _Spread:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._all():
            file.close()
        self._place.cleanup()


def _load(
    connection: DuckDBPyConnection, table: str, paths: Mapping[str, Path], owners: Mapping[str, str]
) -> None:
    """Add the rows of each owner's file.

    Where there are several owners, the catalogue is new: see `up_to_date`.
    """
    query = read_json(table, schema.tables()[table], compression="none")
    if table in once.OWNED and len(set(owners.values())) > 1:
        given = {f"files{n}": [glob.escape(files.spelled(path))] for n, path in enumerate(paths.values())}
        by_owner = {owner: query.replace("$files", f"$files{n}") for n, owner in enumerate(paths)}
        once.fill(connection, table, by_owner, owners, given, apart=False)
        return
    if table in once.KEYS:
        keys = ", ".join(once.KEYS[table])
        query = (
            f"SELECT DISTINCT ON ({keys}) * FROM ({query}) AS new WHERE NOT EXISTS (SELECT 1 FROM {table} AS"
            f" old WHERE {_same(table)})"
        )
    connection.execute(
        f"INSERT INTO {table} {query}",
        {"files": [glob.escape(files.spelled(path)) for path in paths.values()]},
    )


def _same(table: str) -> str:
    return " AND ".join(f"old.{key} IS NOT DISTINCT FROM new.{key}" for key in once.KEYS[table])


def _install(path: Path, install: Install, library: str) -> None:
    with _writing(path) as connection:
        install(Session(connection))
        connection.execute("UPDATE forensics.catalog SET library = $1", [library])


class _writing:  # noqa: N801 - a context manager
    """A connection that writes one catalogue, all of it in the file when it is closed."""

    def __init__(self, path: Path) -> None:
        from forensics.store.database import duckdb  # import time: DuckDB

        self._connection = duckdb.connect(
            files.spelled(path), config={"storage_compatibility_version": STORAGE}
        )

    def __enter__(self) -> DuckDBPyConnection:
        return self._connection

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._connection.execute("CHECKPOINT")
        finally:
            self._connection.close()


def fingerprint(paths: Iterable[Path]) -> str:
    """What identifies a library: the contents of its files."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(json.dumps([path.name, path.read_text(encoding="utf-8")]).encode())
    return digest.hexdigest()
