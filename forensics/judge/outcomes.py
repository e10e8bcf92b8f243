"""One detector asked of one session: an outcome, which is a value and never an exception."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forensics.errors import ForensicsError, interrupted
from forensics.judge.library import Gap, Library, Sql, needed
from forensics.judge.pair import Pair
from forensics.judge.query import Detector
from forensics.records import Cleared, Confidence, Evidence, Finding, NotEvaluated, Severity, Unevaluated

SEVERITIES: Sequence[Severity] = ("info", "warning", "error")
CONFIDENCES: Sequence[Confidence] = ("possible", "probable", "strong", "certain", "proved")
KEPT = 200
"""Faulty rows that a finding holds as evidence; the claim has their number, the query has them all."""


@dataclass(frozen=True)
class FaultFound:
    """At least one row is at fault."""

    detector: Detector
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Clean:
    """There was something to look at, and nothing was at fault."""

    detector: Detector
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Missing:
    """Facts that it needs were not captured, or there is nothing of its kind to look at."""

    detector: Detector
    needs: str
    kind: Unevaluated
    how: str = ""


@dataclass(frozen=True)
class Crashed:
    """The query failed."""

    detector: Detector
    error: str


Outcome = FaultFound | Clean | Missing | Crashed


class Facts:
    """What is missing of each fact for one pair, asked once."""

    def __init__(self, session: Sql, a: str, b: str) -> None:
        self._session, self._a, self._b = session, a, b
        self._missing: dict[str, Gap | None] = {}

    def missing(self, fact: str) -> Gap | None:
        if fact not in self._missing:
            self._missing[fact] = needed(self._session, fact, self._a, self._b)
        return self._missing[fact]


def ask(pair: Pair, detector: Detector, facts: Facts) -> Outcome:
    """One detector's outcome; whatever it raises is its outcome too."""
    try:
        for fact in detector.names("needs"):
            missing = facts.missing(fact)
            if missing is not None:
                return Missing(detector, missing.needs, missing.kind, missing.how)
        rows = pair.rows(detector)
    except Exception as error:  # a detector, ours or private, may not take the others down
        if interrupted(error):
            raise KeyboardInterrupt from None
        return Crashed(
            detector,
            error.message if isinstance(error, ForensicsError) else f"{type(error).__name__}: {error}",
        )
    if not rows:
        wanted = detector.text("nothing") or "something of its kind to look at"
        return Missing(detector, wanted, "absent", detector.text("capture"))
    return FaultFound(detector, rows) if any(row["fault"] for row in rows) else Clean(detector, rows)


def ask_all(pair: Pair, library: Library, facts: Facts) -> dict[str, Outcome]:
    """Every detector's outcome by id."""
    return {detector.name: ask(pair, detector, facts) for detector in library.detectors}


def phrase(outcome: FaultFound, outcomes: Mapping[str, Outcome], check: str) -> Finding:
    """A detector's faulty rows as a finding that stands alone.

    Its role is the header's, and it explains nothing yet.
    """
    detector = outcome.detector
    faulty = [row for row in outcome.rows if row["fault"]]
    severity = max((row.get("severity") or detector.severity for row in faulty), key=SEVERITIES.index)
    # stable: the weightiest rows first
    faulty.sort(key=lambda row: (row.get("severity") or detector.severity) != severity)
    first = faulty[0]
    confidence = max(
        (
            row.get("confidence") or detector.confidence
            for row in faulty
            if (row.get("severity") or detector.severity) == severity
        ),
        key=CONFIDENCES.index,
    )
    return Finding(
        id=detector.name,
        severity=severity,
        role=detector.role,
        confidence=confidence,
        title=detector.title,
        claim=fill(detector.text("claim"), first, len(faulty), len(outcome.rows)),
        evidence=tuple(
            Evidence(_text(r["subject"]), _text(r["observed"]), _text(r["expected"])) for r in faulty[:KEPT]
        ),
        ruled_out=tuple(_ruled_out(detector, outcomes)),
        fix=fill(detector.text("fix"), first, len(faulty), len(outcome.rows)),
        where=next((str(row["place"]) for row in faulty if row.get("place")), None),
        check=check,
    )


def _ruled_out(detector: Detector, outcomes: Mapping[str, Outcome]) -> list[str]:
    clean = [outcomes.get(name) for name in detector.names("rules out")]
    return [clean_text(outcome) for outcome in clean if isinstance(outcome, Clean)]


def clean_text(outcome: Clean) -> str:
    """What a clean detector says for itself, with its numbers."""
    template = outcome.detector.text("clean") or "{id} (looked at {looked})"
    return fill(template, {"id": outcome.detector.name, **outcome.rows[0]}, 0, len(outcome.rows))


def cleared(outcomes: Mapping[str, Outcome]) -> tuple[Cleared, ...]:
    """Detectors that were evaluated and clean, by id."""
    return tuple(
        Cleared(name, clean_text(outcome))
        for name, outcome in sorted(outcomes.items())
        if isinstance(outcome, Clean)
    )


def not_evaluated(outcomes: Mapping[str, Outcome]) -> tuple[NotEvaluated, ...]:
    """Detectors that could not be asked, by id, and what each needs."""
    lines = []
    for name, outcome in sorted(outcomes.items()):
        if isinstance(outcome, Missing):
            lines.append(NotEvaluated(name, outcome.needs, outcome.kind, outcome.how))
        elif isinstance(outcome, Crashed):
            lines.append(NotEvaluated(name, outcome.error, "crashed"))
    return tuple(lines)


def fill(template: str, row: Mapping[str, Any], n: int, looked: int) -> str:
    """A header's text with the columns of a row in it.

    A NULL reads `unknown`, {n:row is|rows are} has words for its number.
    """
    values = {**row, "n": n, "looked": looked}
    pieces = []
    for literal, name, words, _ in string.Formatter().parse(template):
        pieces += [literal, "" if name is None else _text(values.get(name))]
        if words and "|" in words:
            one, _, many = words.partition("|")
            pieces.append(f" {one if values.get(name or '') == 1 else many}")
    return "".join(pieces).strip()


def _text(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
