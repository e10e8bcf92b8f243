"""The ranks of a distributed program: which started together, and what they read of one data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from forensics.capture.spool import Spool
from forensics.records import Row, Scalar
from forensics.typed import whole

Drawn = Callable[[Sequence[int]], Mapping[str, Scalar]]
"""rows_seen and rows_drawn of `datasets` over these processes."""


@dataclass(frozen=True, slots=True)
class Rank:
    """One process: its rank, of how many, and the how many-th launch it belongs to, from 1."""

    rank: int
    ranks: int
    launch: int


class Ranks:
    """Processes that are ranks, by number.

    A command may launch again: the n-th process of a rank belongs to the n-th launch.
    """

    def __init__(self, models: Sequence[Row]) -> None:
        launches = {
            whole(m["process"]): (whole(m["rank"]), whole(m.get("ranks")))
            for m in models
            if m.get("rank") is not None
        }
        seen: Counter[int] = Counter()
        self.of: dict[int, Rank] = {}
        for process, (rank, ranks) in sorted(launches.items()):
            seen[rank] += 1
            self.of[process] = Rank(rank, ranks, seen[rank])

    @cached_property
    def firsts(self) -> frozenset[int]:
        """Of each launch the process of the lowest rank that was seen."""
        best: dict[int, tuple[int, int]] = {}
        for process, r in self.of.items():
            best[r.launch] = min(best.get(r.launch, (r.rank, process)), (r.rank, process))
        return frozenset(process for _, process in best.values())

    def missing(self) -> list[dict[str, str]]:
        """Ranks that ran and were not watched."""
        gaps = []
        for launch in sorted({r.launch for r in self.of.values()}):
            here = [r for r in self.of.values() if r.launch == launch]
            ranks = max(r.ranks for r in here)
            left = sorted(set(range(ranks)) - {r.rank for r in here})
            if left:
                why = "they ran on another machine, used no model, or in a Python that could not be watched"
                gaps.append(
                    {
                        "what": f"rank{'s' * (len(left) > 1)} {', '.join(map(str, left))} of {ranks}",
                        "why": why,
                        "kind": "ranks",
                    }
                )
        return gaps


def datasets(spool: Spool, drawn: Drawn) -> list[Row]:
    """Rows of `datasets`.

    Ranks of one launch that read the same file share a row, under the first rank's process.
    """
    ranks = Ranks(spool.latest("models", "model")).of
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in spool.latest("datasets", "source", "path", "purpose", "place"):
        who = (
            ("launch", ranks[whole(row["process"])].launch)
            if whole(row["process"]) in ranks
            else ("process", row["process"])
        )
        groups.setdefault(
            (*who, *(row.get(key) for key in ("source", "path", "purpose", "place"))), []
        ).append(row)
    return [_one(rows, ranks, drawn) for rows in groups.values()]


def _one(rows: Sequence[Row], ranks: Mapping[int, Rank], drawn: Drawn) -> Row:
    rows = sorted(rows, key=lambda r: ranks[whole(r["process"])].rank if whole(r["process"]) in ranks else 0)
    row = dict(rows[0])
    rank = ranks.get(whole(row["process"]))
    if rank and row.get("source") == "file":
        row |= _usage([r.get("found") for r in rows], rank.ranks)
    elif len(rows) > 1 and row.get("source") == "forward":  # each rank measures rows of its own
        row |= {key: sum(whole(r.get(key)) for r in rows) for key in ("records", "used")}
    if row.get("purpose") not in ("valid", "test"):
        row |= drawn([whole(r["process"]) for r in rows])
    return row


def _usage(records: Sequence[Any], ranks: int) -> dict[str, Scalar]:
    """`used` and `unused_between` over all ranks.

    `records` are the numbers of the records that each rank's rows hold. Where a rank did not look, was not
    watched or was killed, nobody knows what it used.
    """
    if len(records) < ranks or not all(isinstance(record, list) for record in records):
        return {"used": None, "unused_between": None}
    numbers = sorted({int(n) for record in records for n in record})
    if not numbers:
        return {"used": None, "unused_between": None}
    return {"used": len(numbers), "unused_between": numbers[-1] - numbers[0] + 1 - len(numbers)}
