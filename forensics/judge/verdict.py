"""faulty, healthy or inconclusive: what must have been seen before a run may be called healthy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forensics.judge.library import Sql
from forensics.judge.outcomes import Crashed, Facts, Outcome
from forensics.records import Finding, Verdict

CORE = ("parameters", "end", "trainable", "updates", "loss_tokens")
"""Facts without which a watched run is not healthy; files at rest need `parameters` alone."""
_BASIC = {*CORE, "run", "deltas", "steps"}
"""A detector that needs only these must have been evaluated."""
NOT_APPLICABLE = "not applicable"


def verdict(
    session: Sql, b: str, findings: Sequence[Finding], outcomes: Mapping[str, Outcome], facts: Facts
) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict, and what stands against `healthy`, in words."""
    core = CORE if session.rows("SELECT watched(?) AS yes", [b])[0]["yes"] else CORE[:1]
    gaps = [str(row["gap"]) for row in session.rows("SELECT * FROM parts_gone(?)", [b])]
    gaps += [missing for missing in map(facts.missing, core) if missing is not None and not missing.startswith(NOT_APPLICABLE)]
    gaps += [
        f"{name}, which crashed"
        for name, outcome in sorted(outcomes.items())
        if isinstance(outcome, Crashed) and set(outcome.detector.names("needs")) <= _BASIC
    ]
    gaps += [
        f"what came after the {row['exception']} that ended the program" + (f" at {row['place']}" if row["place"] else "")
        for row in session.rows("SELECT * FROM endings(?)", [b])
    ]
    if any(finding.severity != "info" for finding in findings):
        return "faulty", tuple(gaps)
    return ("inconclusive" if gaps else "healthy"), tuple(gaps)
