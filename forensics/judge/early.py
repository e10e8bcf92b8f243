"""What is certain of a run before it ends.

Only those detectors are asked whose faulty rows no later step can take back.

Such a detector says in its header, under `early`, why that is so; a column `early` restricts it to the rows
for which it holds. What hangs on something that did not happen yet, on a share of the whole run or on the
last state is never asked here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from forensics.judge import allow, library, outcomes
from forensics.judge.diagnose import phrased
from forensics.judge.library import Library
from forensics.judge.outcomes import SEVERITIES, FaultFound, Outcome
from forensics.judge.pair import Pair
from forensics.judge.query import Detector
from forensics.judge.resolver import session_of
from forensics.records import Finding, Severity
from forensics.store.store import Store


def askable(ours: Library) -> tuple[Detector, ...]:
    """The detectors whose facts are final before a run ends."""
    return tuple(detector for detector in ours.detectors if detector.text("early"))


def certain(
    store: Store, name: str, severity: Severity, accepted: Path, queries: Path | None = None
) -> list[Finding]:
    """What is certain of the run `name` so far, at or above `severity`, causes first.

    Args:
        accepted: the directory from which the user's configuration is looked for, which may accept findings.

    Raises:
        ForensicsError: damaged evidence, or a configuration or private query that breaks the rules.
    """
    run = store.run(name)
    if not run.captures:
        return []
    ours = library.load(queries)
    session = session_of(run.captures, [run], ours)
    a, b = run.first().ref, run.last().ref
    pair, facts = Pair(session, ours, a, b), outcomes.Facts(session, a, b)
    outcome = {each.name: _final(outcomes.ask(pair, each, facts)) for each in askable(ours)}
    findings = phrased(session, ours, outcome, b, name)
    allowed = allow.configured(accepted, [detector.name for detector in ours.detectors])
    counted, _ = allow.split(findings, allowed, run.main_model)
    least = SEVERITIES.index(severity)
    return [
        item
        for item in counted
        if item.confidence in ("certain", "proved") and SEVERITIES.index(item.severity) >= least
    ]


def _final(outcome: Outcome) -> Outcome:
    """The outcome with the certain rows alone that no later step takes back."""
    if not isinstance(outcome, FaultFound):
        return outcome
    rows = [row for row in outcome.rows if not row["fault"] or _is_final(outcome.detector, row)]
    if any(row["fault"] for row in rows):
        return replace(outcome, rows=rows)
    return outcomes.Clean(outcome.detector, rows or outcome.rows)


def _is_final(detector: Detector, row: Mapping[str, Any]) -> bool:
    return bool(row.get("early", True)) and (row.get("confidence") or detector.confidence) == "certain"
