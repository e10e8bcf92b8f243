"""Two runs: each judged for itself, then what the one does that the other does not: causes first, then settings and facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from forensics.judge.deltas import Evidence as Session
from forensics.records import Diagnosis, Evidence, Finding, TwoRuns


def two_runs(session: Session, one: Diagnosis, other: Diagnosis, names: tuple[str, str]) -> TwoRuns:
    """Put two diagnoses side by side; the verdict is the second's."""
    mine, yours = {f.id for f in one.findings}, {f.id for f in other.findings}
    findings = (*_only(one, yours, "a"), *_only(other, mine, "b"))
    return TwoRuns(
        a=names[0],
        b=names[1],
        verdict=other.verdict,
        runs=(one, other),
        differences=(*_causes(findings, one, other), *_settings(session, one, other)),
        findings=findings,
    )


def _only(diagnosis: Diagnosis, elsewhere: set[str], side: Literal["a", "b"]) -> Iterator[Finding]:
    return (replace(finding, only_in=side) for finding in diagnosis.findings if finding.id not in elsewhere)


def _causes(findings: tuple[Finding, ...], one: Diagnosis, other: Diagnosis) -> Iterator[Evidence]:
    """A cause that one run has, and what the other run says to it."""
    for finding in (f for f in findings if f.role == "cause"):
        needs = {each.id: each.needs for each in (other if finding.only_in == "a" else one).not_evaluated}
        absent = f"not evaluated: {needs[finding.id]}" if finding.id in needs else "evaluated and clean"
        in_a, in_b = (finding.claim, absent) if finding.only_in == "a" else (absent, finding.claim)
        yield Evidence(finding.id, observed=in_b, expected=in_a)


def _settings(session: Session, one: Diagnosis, other: Diagnosis) -> Iterator[Evidence]:
    """Settings and facts of the two ends that differ."""
    for row in session.rows("SELECT * FROM run_differences(?, ?)", [one.b, other.b]):
        yield Evidence(str(row["subject"]), observed=_text(row["in_b"]), expected=_text(row["in_a"]))


def _text(value: object) -> str:
    return "none" if value is None else str(value)
