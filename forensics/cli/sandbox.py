"""The child in which `forensics sql` runs: bounded memory, a database that can only be read, nothing else within reach.

It reads one JSON request on stdin and writes JSON lines: the column names, rows as lists, or {"error": ...}.
The parent watches its memory too, since a limit on address space is not kept on macOS.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.cli.plain import plain
from forensics.errors import QueryError

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
        resource.setrlimit(resource.RLIMIT_AS, (memory + ROOM, memory + ROOM))
    try:
        _answer(request, memory)
    except MemoryError:
        _write({"error": "", "kind": "memory"})
    except QueryError as error:
        _write({"error": error.message, "hint": error.hint, "kind": "sql"})


def _answer(request: dict[str, Any], memory: int) -> None:
    from forensics.judge import library
    from forensics.store.catalog import reader

    made = []
    if request["queries"]:
        ours = library.load(Path(request["queries"]))
        made = [ours.create(query) for query in ours.queries.values() if query.private]

    def prepare(session: Session) -> None:
        for statement in made:
            session.script(statement.replace("CREATE OR REPLACE MACRO", "CREATE OR REPLACE TEMP MACRO", 1))

    session = reader(Path(request["catalog"]), f"{memory >> 20}MB", 2, prepare)
    columns, batches = session.stream(request["sql"], BATCH)
    _write({"columns": columns})
    for rows in batches:
        _write([plain(row) for row in rows])


def _write(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")  # ASCII, whatever the encoding of the pipe
    sys.stdout.flush()


if __name__ == "__main__":
    main()
