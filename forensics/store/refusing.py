"""What DuckDB says where it refuses, as errors of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from forensics.errors import QueryError

_RAISED = "Invalid Input Error: "  # stands before what a macro itself says
_NO_SUCH_REF = "There is no run or capture"  # queries/lib/refs.sql


@contextmanager
def refusing(sql: str) -> Iterator[None]:
    """DuckDB's errors as ours."""
    from forensics.store.database import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise MemoryError(first_line(error)) from error
    except duckdb.Error as error:
        raise QueryError(first_line(error), where=sql.strip().partition("\n")[0][:120], hint=_hint(error)) from error


def _hint(error: Exception) -> str:
    """What DuckDB itself proposes, the nearest names; else where the names are that could be meant."""
    proposed = next((line.strip() for line in str(error).splitlines()[1:] if line.startswith(("Did you mean", "Candidate bindings"))), "")
    if proposed:
        return proposed
    said = first_line(error)
    if said.startswith(_NO_SUCH_REF):
        return "SELECT ref FROM refs lists what can be named: paths and snapshots are none of them."
    return "DESCRIBE TABLE shows its columns." if re.search(r"\bcolumn\b|Table with name", said) else ""


def first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300].removeprefix(_RAISED) if lines else type(error).__name__
