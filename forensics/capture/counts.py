"""How often each model was updated, saved and asked.

The numbers are the watcher's own; for a killed process they are counted from what it wrote.
"""

from __future__ import annotations

from collections import Counter

from forensics.capture.spool import Spool
from forensics.records import Row
from forensics.typed import whole

_COUNTS = ("updates", "writes", "gradients", "generations", "saves")


def models(spool: Spool) -> list[Row]:
    """Rows of `models`.

    The watcher writes its counts at safe moments and at exit. Of a process that never said its end they are
    old: then what else it wrote says how often at least, and where that says nothing, nobody knows (NULL).
    """
    rows = spool.latest("models", "model")
    ended = {process.number for process in spool.processes if process.exit}
    if all(row["process"] in ended for row in rows):
        return rows
    counts = _from_rows(spool)
    return [
        row
        if row["process"] in ended
        else {
            **row,
            **{c: max(whole(row.get(c)), counts[c, row["process"], row["model"]]) or None for c in _COUNTS},
        }
        for row in rows
    ]


def _from_rows(spool: Spool) -> Counter[tuple[str, object, object]]:
    """(column, process, model) to the count that its own rows show.

    Rows of steps, captures, generations and saved files are counted.
    """
    counts: Counter[tuple[str, object, object]] = Counter()
    for step in spool.rows("steps"):
        who = step["process"], step.get("model")
        counts["updates" if step.get("optimizer") else "writes", *who] += (
            1  # a step without an optimizer was written by hand
        )
        counts["gradients", *who] += whole(step.get("gradients"))
    for captured in spool.captures:
        key = ("updates", captured.process, captured.model)
        counts[key] = max(counts[key], whole(captured.head.get("updates")))
    counts.update(("generations", row["process"], row.get("model")) for row in spool.rows("generations"))
    saves = {(row["process"], row.get("model"), row.get("save")) for row in spool.rows("saved_tensors")}
    counts.update(("saves", process, model) for process, model, _ in saves)
    return counts
