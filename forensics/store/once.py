"""Rows that several captures may hold alike, such as the statistics of a tensor.

Each is counted once, and only for whom it counts.

They are found by digest, which every owner of the same tensor shares. Numbers belong to whoever measured
them: those of a bundle may not stand in for what was measured here, nor for what another bundle says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from forensics import schema

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

KEYS = {
    "tensors": ("digest",),
    "deltas": ("digest_a", "digest_b"),
    "probe_deltas": ("capture_a", "capture_b", "prompt_id"),
}
"""The tables that several captures may hold the same row of, and their keys."""
OWNED = ("tensors", "deltas")
"""Those that several owners may hold a row of, with other numbers."""
OURS = ""
"""The owner of what was measured here, or came with the program."""
ROUNDING = 1e-6
"""Two measurings of equal bytes differ by no more of their size: sums in another order."""
_BEST = {"tensors": "kept = 'none' OR kept IS NULL, mean IS NULL"}
"""Which of several rows of one key and one owner counts."""


def distinct_rows(query: str, table: str) -> str:
    """The rows of a query, those of one key once."""
    keys = ", ".join(KEYS[table])
    return f"SELECT DISTINCT ON ({keys}) * FROM ({query}) ORDER BY {keys}, {_BEST.get(table, '1')}"


def fill(
    connection: DuckDBPyConnection,
    table: str,
    by_owner: Mapping[str, str],
    owners: Mapping[str, str],
    files: Mapping[str, Sequence[str]],
    apart: bool,
) -> None:
    """Fill `tensors` or `deltas` from several owners; `placements` are filled.

    Args:
        by_owner: owner to the query of its rows, whose parameters are in `files`.
        owners: capture to its owner.
        apart: a stranger's difference counts only where both of its tensors are the stranger's alone. Else it
        is left out only where another owner has both.

    Raises:
        duckdb.Error: rows that cannot be read.
    """
    columns = list(schema.tables()[table])
    parts = " UNION ALL ".join(
        f"SELECT *, {_quoted(owner)} AS owner FROM ({distinct_rows(query, table)})"
        for owner, query in by_owner.items()
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE told AS {parts}", dict(files))
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE owned AS"
        " SELECT unnest($1::VARCHAR[]) AS capture, unnest($2::VARCHAR[]) AS owner",
        [list(owners), list(owners.values())],
    )
    same = " AND ".join(f"mine.{key} = told.{key}" for key in KEYS[table])
    wanted = (
        f"owner <> '{OURS}' AND NOT EXISTS (SELECT 1 FROM told AS mine"
        f" WHERE mine.owner = '{OURS}' AND {same})"
    )
    connection.execute(f"INSERT INTO {table} SELECT {', '.join(columns)} FROM told WHERE owner = '{OURS}'")
    if table == "deltas":
        connection.execute(_HELD)
        wanted += _BOTH_APART if apart else _PAIR_APART
    agreed = ", ".join(
        column if column in KEYS[table] else f"{_agreed(column)} AS {column}" for column in columns
    )
    select = f"SELECT {agreed} FROM told WHERE {wanted} GROUP BY {', '.join(KEYS[table])}"
    if table == "deltas":  # one on which two do not agree is measured again, or is not there
        sure = (f"({_agreed(c)} IS NOT NULL OR count({c}) = 0)" for c in columns if c not in KEYS[table])
        select += f" HAVING {' AND '.join(sure)}"
    connection.execute(f"INSERT INTO {table} {select}")
    for temporary in ("told", "owned", "held"):
        connection.execute(f"DROP TABLE IF EXISTS temp.{temporary}")


_HELD = """CREATE OR REPLACE TEMP TABLE held AS
SELECT DISTINCT o.owner, unnest([p.digest, p.value_digest]) AS digest
FROM placements p JOIN owned o USING (capture)"""
_BOTH_APART = """ AND NOT EXISTS (SELECT 1 FROM held h
    WHERE h.owner <> told.owner AND (h.digest = told.digest_a OR h.digest = told.digest_b))"""
_PAIR_APART = """ AND NOT EXISTS (SELECT 1 FROM held h JOIN held g USING (owner)
    WHERE h.owner <> told.owner AND h.digest = told.digest_a AND g.digest = told.digest_b)"""


def _agreed(column: str) -> str:
    """What strangers say alike of one tensor; NULL where they contradict each other."""
    number = f"TRY_CAST({column} AS DOUBLE)"
    near = f"max({number}) - min({number}) <= {ROUNDING} * greatest(abs(max({number})), abs(min({number})))"
    alike = f"count(DISTINCT {column}) <= 1 OR {near}" if column != "kept" else "true"
    return f"CASE WHEN {alike} THEN any_value({column}) END"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
