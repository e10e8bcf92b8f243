"""What DuckDB says where it refuses, as errors of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from forensics.errors import QueryError


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
    """What DuckDB itself proposes: the nearest names."""
    return next((line.strip() for line in str(error).splitlines()[1:] if line.startswith(("Did you mean", "Candidate"))), "")


def first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
