"""What DuckDB says where it refuses, as errors of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from forensics.errors import QueryError, interrupted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, Statement

_RAISED = "Invalid Input Error: "  # what DuckDB puts before what a macro says
_NO_SUCH_REF = "There is no run or capture"  # queries/lib/refs.sql


@contextmanager
def refusing(sql: str) -> Iterator[None]:
    """DuckDB's errors as ours, and Ctrl-C as what it is."""
    from forensics.store.database import duckdb  # import time: DuckDB

    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise MemoryError(first_line(error)) from error
    except duckdb.Error as error:
        raise QueryError(
            first_line(error), where=sql.strip().partition("\n")[0][:120], hint=_hint(error)
        ) from error
    except RuntimeError as error:
        if interrupted(error):
            raise KeyboardInterrupt from None
        raise


def one_select(connection: DuckDBPyConnection, sql: str) -> Statement:
    """The one statement of `sql`, which is a SELECT, PIVOT, EXPLAIN or DESCRIBE.

    DuckDB takes a PIVOT without a list of values for several statements, of which the first finds the values.

    Raises:
        QueryError: it is none, or there are several.
    """
    statements = connection.extract_statements(sql)
    kinds = {"SELECT", "EXPLAIN", *(["MULTI"] if re.search(r"(?i)\bpivot(_wider)?\b", sql) else [])}
    if len(statements) != 1 or statements[0].type.name not in kinds:
        raise QueryError(
            "One SELECT is asked at a time; nothing can be changed.",
            sql[:120],
            "Write one SELECT, PIVOT, EXPLAIN or DESCRIBE.",
        )
    return statements[0]


def _hint(error: Exception) -> str:
    """What DuckDB itself proposes, the nearest names; else where the names are that could be meant."""
    proposed = next(
        (
            line.strip()
            for line in str(error).splitlines()[1:]
            if line.startswith(("Did you mean", "Candidate bindings"))
        ),
        "",
    )
    if proposed:
        return proposed
    message = first_line(error)
    if message.startswith(_NO_SUCH_REF):
        return "SELECT ref FROM refs lists what can be named: paths and snapshots are none of them."
    return "DESCRIBE TABLE shows its columns." if re.search(r"\bcolumn\b|Table with name", message) else ""


def first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300].replace(_RAISED + _NO_SUCH_REF, _NO_SUCH_REF) if lines else type(error).__name__
