"""Opens a session over captures and runs: reads their members, under the words that the user has for them.

Members are compared with their digests as they are read. Where several stores measured one tensor, the rows
of one count (`once.py`).
"""

from __future__ import annotations

import glob
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics import files, schema
from forensics.errors import DamagedEvidence
from forensics.records import Row
from forensics.store import once, unsealed
from forensics.store.dberrors import first_line
from forensics.store.manifest import checked, read_manifest, run_of
from forensics.store.session import Session, fill_refs, fresh, read_json
from forensics.store.store import Capture, Run

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

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
    connection = fresh()
    session = Session(connection, list(stores.values()))
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
        _load(connection, table, members[table], owners, apart)
    fill_refs(connection)
    for text, ref in (typed_refs or {}).items():
        refs = session.rows("SELECT capture, run FROM refs WHERE ref = $1", [ref])
        if refs:
            session.alias(text, refs[0]["capture"], refs[0]["run"])
    return session


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
