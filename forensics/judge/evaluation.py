"""Does an explicit `mx.eval` help? What was not computed at which point of a run, and what that changed."""

from __future__ import annotations

from collections.abc import Sequence

from forensics.errors import QueryError
from forensics.judge.library import Sql
from forensics.records import Row
from forensics.typed import whole
from forensics.units import counted

_PENDING = """
SELECT max(pending) AS most FROM steps
WHERE run = run_of(?) AND model = model_of(?) AND pending IS NOT NULL AND step > 1
"""


def evaluation(session: Sql, b: str) -> str:
    """One sentence about b's run; empty where no live model of it was looked at."""
    try:
        rows = [
            row
            for row in session.rows("FROM evaluation(?)", [b])
            if whole(row["computed"]) + whole(row["not_computed"])
        ]
    except QueryError:
        return ""  # a session with a part of the library
    if not rows:
        return ""
    most = whole(session.rows(_PENDING, [b, b])[0]["most"] or 0)
    pending = f"; at most {counted(most, 'update')} pending during training" if most else ""
    waits = [row for row in rows if whole(row["not_computed"])]
    if not waits:
        said = f"every parameter was computed at each of {counted(len(rows), 'point')}"
        return said + (pending or ": mx.eval would have changed nothing")
    where = ", ".join(f"{row['capture']} ({_count(row)})" for row in waits[:3])
    more = f" and {len(waits) - 3} more" if len(waits) > 3 else ""
    return f"parameters were not computed at {where}{more}: {_changed(waits)}{pending}"


def _count(row: Row) -> str:
    looked = whole(row["computed"]) + whole(row["not_computed"])
    beside = f", {whole(row['not_looked'])} not looked at" if whole(row["not_looked"]) else ""
    return f"{whole(row['not_computed'])} of {looked}{beside}"


def _changed(rows: Sequence[Row]) -> str:
    """What computing them did to the logits after a probe, which were asked before and after."""
    asked = [row for row in rows if row["difference"] is not None]
    if not asked:
        return "whether computing them changes an answer was not asked"
    worst = max(asked, key=lambda row: float(str(row["difference"])))
    if not float(str(worst["difference"])):
        return "computing them changed no answer"
    return (
        f"computing them moved the logits after a probe by {float(str(worst['difference'])):.2g} "
        f"of {float(str(worst['scale'])):.2g} at {worst['capture']}"
    )
