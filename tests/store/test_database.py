"""DuckDB is had by its compiled half, and by its package where that half has no name of its own."""

from __future__ import annotations

import subprocess
import sys

ASKS = """
from forensics.store.loader import open_session
with open_session([], []) as session:
    print(session.rows("SELECT count(*) AS n FROM runs")[0]["n"])
"""
WHOLE = "\nimport sys; print('duckdb' in sys.modules)"


def said(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_session_loads_no_builder_of_queries() -> None:
    assert said(ASKS + WHOLE) == ["0", "False"]


def test_without_the_compiled_half_alone_the_package_serves() -> None:
    broken = "import sys, duckdb; sys.modules['_duckdb'] = None\n"
    assert said(broken + ASKS + WHOLE) == ["0", "True"]


def test_both_raise_the_same_errors() -> None:
    import duckdb as package

    from forensics.store.database import duckdb

    assert duckdb.Error is package.Error and duckdb.OutOfMemoryException is package.OutOfMemoryException
