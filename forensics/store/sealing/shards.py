"""What the ranks of a distributed program saw of the same data set, put together: each is given a part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from forensics.evidence.spool import Spool
from forensics.records import Row, Scalar

Drawn = Callable[[Sequence[int]], Mapping[str, Scalar]]
"""rows_seen and rows_drawn of `datasets` over these processes."""


def datasets(spool: Spool, drawn: Drawn) -> list[Row]:
    """Rows of `datasets`; one for all ranks that read the same file, under the first rank's process."""
    ranks = ranked(spool)
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in spool.latest("datasets", "source", "path", "purpose", "place"):
        same = [row.get(key) for key in ("source", "path", "purpose", "place")]
        groups.setdefault((None if row["process"] in ranks else row["process"], *same), []).append(row)
    return [_one(sorted(rows, key=lambda r: ranks.get(_int(r["process"]), 0)), drawn) for rows in groups.values()]


def ranked(spool: Spool) -> dict[int, int]:
    """Process to rank, of those that are ranks of a distributed program."""
    return {_int(row["process"]): _int(row["rank"]) for row in spool.latest("models", "model") if row.get("rank") is not None}


def unseen(spool: Spool) -> list[dict[str, str]]:
    """What is missing where ranks ran that were not watched."""
    models = spool.latest("models", "model")
    ranks = max((_int(row.get("ranks")) for row in models), default=0)
    left = sorted(set(range(ranks)) - set(ranked(spool).values()))
    if not left:
        return []
    what = f"rank{'s' * (len(left) > 1)} {', '.join(map(str, left))} of {ranks}"
    return [{"what": what, "why": "they ran on another machine, used no model, or in a Python that could not be watched"}]


def _one(rows: Sequence[Row], drawn: Drawn) -> Row:
    row = dict(rows[0])
    if len(rows) > 1 and row.get("source") == "file":
        row |= _found([r.get("found") for r in rows], row.get("records"))
    elif row.get("source") == "forward":  # each rank measures rows of its own
        row |= {key: sum(_int(r.get(key)) for r in rows) for key in ("records", "used")}
    if row.get("purpose") not in ("valid", "test"):
        row |= drawn([_int(r["process"]) for r in rows])
    return row


def _found(found: Iterable[Any], records: Any) -> dict[str, Scalar]:
    """`used` and `unused_between` over all; `found` are the numbers of the records that each rank's rows hold."""
    numbers = sorted({int(n) for each in found if isinstance(each, list) for n in each})
    if not numbers or not isinstance(records, int):
        return {"used": None, "unused_between": None}
    return {"used": len(numbers), "unused_between": numbers[-1] - numbers[0] + 1 - len(numbers)}


def _int(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) else 0
