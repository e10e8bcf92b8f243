"""Two runs: each is judged for itself, then compared.

What only one of them does comes causes first, then settings and facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from forensics.judge.deltas import Evidence as Session
from forensics.records import Diagnosis, Difference, Finding, TwoRuns

SAMPLER = "sampler-differs"


def two_runs(session: Session, one: Diagnosis, other: Diagnosis, names: tuple[str, str]) -> TwoRuns:
    """Put two diagnoses side by side; the verdict is the second's."""
    mine, yours = {f.id for f in one.findings}, {f.id for f in other.findings}
    findings = (*_only(one, yours, "a"), *_only(other, mine, "b"))
    settings = tuple(_settings(session, one, other))
    headline = ""
    if one.verdict == other.verdict == "healthy":
        sampled = [setting for setting in settings if setting.kind == "sampling"]
        if sampled and not any(finding.id == SAMPLER for finding in findings):
            findings = (*findings, _sampler(sampled, names))
        headline = _headline(sampled, settings)
    return TwoRuns(
        a=names[0],
        b=names[1],
        verdict=other.verdict,
        runs=(one, other),
        differences=(*_causes(findings, one, other), *settings),
        findings=findings,
        headline=headline,
    )


def _headline(sampled: Sequence[Difference], settings: Sequence[Difference]) -> str:
    """What the headline of two healthy runs adds.

    Nothing where no setting, answer or number of updates differs: another environment alone is no other run.
    """
    first = next(iter([*sampled, *(setting for setting in settings if setting.kind != "environment")]), None)
    return "" if first is None else f", but not the same: {_brief(first)}"


def _brief(setting: Difference) -> str:
    """A setting and its values in a few words."""
    name = setting.subject.partition(": ")[2] if setting.kind == "sampling" else setting.subject
    return f"{name} {setting.expected} / {setting.observed}"


def _sampler(sampled: Sequence[Difference], names: tuple[str, str]) -> Finding:
    """Other settings of sampling, as a finding that informs: neither run is at fault."""
    settings = "; ".join(map(_brief, sampled))
    return Finding(
        id=SAMPLER, severity="info", role="cause", confidence="certain",
        title="Two runs were sampled with other settings.",
        claim=f"The runs generate with other settings: {settings}.", evidence=tuple(sampled), only_in="b",
        fix="give both the same sampler where answers are compared",
        check=f"forensics query run-differences {' '.join(names)}",
    )  # fmt: skip


def _only(diagnosis: Diagnosis, elsewhere: set[str], side: Literal["a", "b"]) -> Iterator[Finding]:
    return (replace(finding, only_in=side) for finding in diagnosis.findings if finding.id not in elsewhere)


def _causes(findings: tuple[Finding, ...], one: Diagnosis, other: Diagnosis) -> Iterator[Difference]:
    """A cause that one run has, and what the other run says to it."""
    for finding in (f for f in findings if f.role == "cause"):
        needs = {
            outcome.id: outcome.needs for outcome in (other if finding.only_in == "a" else one).not_evaluated
        }
        absent = f"not evaluated: {needs[finding.id]}" if finding.id in needs else "evaluated and clean"
        in_a, in_b = (finding.claim, absent) if finding.only_in == "a" else (absent, finding.claim)
        yield Difference(finding.id, in_b, in_a, "cause")


def _settings(session: Session, one: Diagnosis, other: Diagnosis) -> Iterator[Difference]:
    """Settings and facts of the two ends that differ."""
    for row in session.rows("SELECT * FROM run_differences(?, ?)", [one.b, other.b]):
        yield Difference(str(row["subject"]), _text(row["in_b"]), _text(row["in_a"]), str(row["kind"]))


def _text(value: object) -> str:
    return "none" if value is None else str(value)
