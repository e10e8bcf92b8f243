"""DuckDB by its compiled half, where that can be had by itself.

Its Python half builds queries out of objects, which nothing here does, and takes 0.1 s to load. Import this
where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb
else:
    try:
        import _duckdb as duckdb
    except ImportError:
        import duckdb

__all__ = ["duckdb"]
