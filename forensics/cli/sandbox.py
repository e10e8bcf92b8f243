"""The child process in which `forensics sql` and `case.sql` run.

Its memory is bounded, it can only read the database, and it reaches nothing else.

It reads one JSON request on stdin and writes JSON lines: the column names, rows as lists, or {"error": ...}.
The parent watches its memory and time too (bounded.py). The tables are those of a catalogue, whose place
is taken out of the answers; or rows in a directory, of captures that somebody has open in Python.
"""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.bounded import limit
from forensics.errors import QueryError
from forensics.typed import plain

if TYPE_CHECKING:
    from forensics.store.session import Session

BATCH = 500
ROOM = 768 << 20
"""Address space beside DuckDB's own limit: the interpreter, libraries, threads' stacks."""


def main() -> None:
    """Answer the request on stdin."""
    request = json.load(sys.stdin.buffer)
    memory = int(request["memory"])
    if sys.platform == "linux":
        limit(memory + ROOM)
    try:
        _answer(request, memory)
    except MemoryError:
        _write({"error": "", "kind": "memory"})
    except QueryError as error:
        _write({"error": error.message, "hint": error.hint, "kind": "sql"})


def _answer(request: dict[str, Any], memory: int) -> None:
    from forensics.judge import library
    from forensics.store.catalog import reader
    from forensics.store.session import reopened

    macros = []
    if request["queries"]:
        ours = library.load(Path(request["queries"]))
        macros = [ours.create(query) for query in ours.queries.values() if query.private]

    def prepare(session: Session) -> None:
        for statement in macros:
            session.script(statement.replace("CREATE OR REPLACE MACRO", "CREATE OR REPLACE TEMP MACRO", 1))

    if request.get("rows"):
        session, plainly = reopened(Path(request["rows"])), _number
        library.load(None).install(session)
        prepare(session)
        session.lock(f"{memory >> 20}MB")
        session.script("BEGIN TRANSACTION READ ONLY")
    else:
        session, plainly = reader(Path(request["catalog"]), f"{memory >> 20}MB", 2, prepare), plain
    columns, batches = session.stream(request["sql"], BATCH, request["parameters"])
    _write({"columns": [name for name, _ in columns], "types": [kind for _, kind in columns]})
    for rows in batches:
        _write([[_placeless(plainly(value), request.get("catalog")) for value in row] for row in rows])


def _placeless(value: Any, catalogue: str | None) -> Any:
    """A cell without the place of the store, which DuckDB's own tables name."""
    if not catalogue or not isinstance(value, str):
        return value
    return value.replace(catalogue, "catalog.duckdb").replace(str(Path(catalogue).parent), "")


def _number(value: Any) -> Any:
    """A value for Python at the other end, where NaN is a number."""
    if isinstance(value, (list, tuple)):
        return [_number(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _number(each) for key, each in value.items()}
    if isinstance(value, Decimal):
        return float(value)
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def _write(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")  # ASCII, whatever the encoding of the pipe
    sys.stdout.flush()


if __name__ == "__main__":
    main()
