"""When something began, found by running a recorded run again: captures are taken only where they are needed.

Each run again looks at some steps between the last at which it does not hold and the first at which it does,
and ends its training there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from forensics.judge import bisect
from forensics.prove import failure
from forensics.prove.launch import NotRepeatable, check_versions
from forensics.prove.process import patience
from forensics.prove.record import Record
from forensics.prove.repeat import NAME, Request, captured
from forensics.store.store import Run, Store

LOOKS = 8
"""Steps at which one run is captured: each narrows what is left to a ninth."""
_STEP = re.compile(r"@step-(\d+)")


def turn(
    store: Store, named: Run, when: str | None, queries: Path | None, tell: Callable[[str], None]
) -> bisect.Turn:
    """The two neighbouring steps between which it turns.

    Args:
        when: as `bisect.turn` has it; None: the recorded run's first cause.
        tell: gets a line before each run.

    Raises:
        NotRepeatable: the run cannot be run again, or has no steps.
        UsageError: see `bisect.turn`.
    """
    record = Record(store, named)
    check_versions(record.launch, record.versions())
    total = len(record.outcome.losses)
    if not total:
        raise NotRepeatable(
            f"No step of run {named.name} was seen, so there is nothing to look between.",
            where=named.name,
            hint="Capture it again; `forensics show` says what it recorded.",
        )
    when = when or bisect.first_cause(named, queries)
    low, high, opened, captures = 0, total, 0, 0
    found = bisect.Turn(when, None, None, 0, 0)
    while True:
        at = between(low, high)
        tell(f"captured after step {', '.join(map(str, at))}, of {total}")
        with captured(_request(store, record, at, high), failure.why) as store_of_it:
            found = bisect.turn(store_of_it.run(NAME), when, queries)
        opened, captures = opened + found.opened, captures + found.captures
        before, after = _step(found.before, 0, total), _step(found.after, total, total)
        if (
            found.before is None
            or found.after is None
            or after - before <= 1
            or (before, after) == (low, high)
        ):
            break
        low, high = before, after
    refs = [_named(ref, named.name) for ref in (found.before, found.after)]
    return bisect.Turn(when, refs[0], refs[1], opened, captures)


def between(low: int, high: int) -> list[int]:
    """At most `LOOKS` steps after `low` and up to `high`, evenly apart, `high` among them."""
    width = high - low
    return sorted({low + max(1, round(width * n / LOOKS)) for n in range(1, LOOKS + 1)})


def _request(store: Store, record: Record, at: list[int], last: int) -> Request:
    return Request(
        record.launch, record.options(), tuple(record.written()), store.root,
        patience(record.outcome.seconds), last, tuple(at),
    )  # fmt: skip


def _step(ref: str | None, before: int, total: int) -> int:
    """The step of a capture: 0 of one before training, the last of one after it."""
    found = _STEP.search(ref or "")
    if found is not None:
        return int(found[1])
    return total if ref and re.search("@(end|generate|saved)", ref) else before if ref is None else 0


def _named(ref: str | None, run: str) -> str | None:
    return None if ref is None else f"{run}@{ref.partition('@')[2]}"
