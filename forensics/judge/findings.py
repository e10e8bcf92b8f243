"""What explains what: findings in order, causes first.

One finding is one cause, with what follows from it folded under it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from forensics.judge import proofs
from forensics.judge.library import Library
from forensics.judge.outcomes import CONFIDENCES, SEVERITIES, FaultFound, Outcome, phrase
from forensics.records import Finding, Role

ROLES: Sequence[Role] = ("cause", "consequence", "symptom")
FAMILIES = (
    "rows",
    "loss",
    "computation",
    "optimizer",
    "adapter",
    "trained",
    "saved",
    "generation",
    "evidence",
)
"""Directories of queries/detect in the order in which a run goes through what they look at: of equal causes
the earlier one comes first.
"""
_ABOVE = re.compile(r"^[^;]*\bthe causes above; where there are none, ")
"""How a fix begins that is meant for what stands under a cause."""


@dataclass(frozen=True)
class _Weight:
    """What decides between two causes that explain as much: the larger measured share, the earlier event."""

    share: float
    sequence: float
    family: int


def ordered(
    library: Library,
    outcomes: Mapping[str, Outcome],
    question: str,
    sequences: Mapping[str, int] | None = None,
    proof: proofs.Document | None = None,
) -> tuple[Finding, ...]:
    """Findings of all outcomes: causes, the one that explains most first, then consequences and symptoms.

    `question` is what follows `forensics query ID` to see a finding's rows. `sequences`: the first event of
    the run at each place. `proof`: what `prove` found of the run.
    """
    present = {name: outcome for name, outcome in outcomes.items() if isinstance(outcome, FaultFound)}
    by_id = {
        name: proofs.with_proof(
            phrase(outcome, outcomes, f"forensics query {name} {question}".strip()), proof
        )
        for name, outcome in present.items()
    }
    weights = {name: _weight(present[name], by_id[name], sequences or {}) for name in by_id}
    explains = {name: _explained(name, by_id, present) for name in by_id}
    ranked = sorted(by_id, key=lambda name: _rank(by_id[name], explains[name], by_id, weights))
    folded: dict[str, tuple[str, ...]] = dict.fromkeys(ranked, ())
    under: set[str] = set()
    for name in ranked:
        # two that explain each other: the one that ranks first keeps the other under it
        folded[name] = tuple(
            other for other in ranked if other in explains[name] and not _closes(other, name, folded)
        )
        under |= set(folded[name])
    findings = [
        replace(by_id[name], explains=folded[name], role=_role(by_id[name], name in under)) for name in ranked
    ]
    findings.sort(key=lambda f: (ROLES.index(f.role), _rank(f, set(f.explains), by_id, weights)))
    causes = [place for place, f in enumerate(findings) if f.role == "cause" and f.severity != "info"]
    return tuple(
        f if causes and place > causes[0] else replace(f, fix=_ABOVE.sub("", f.fix))
        for place, f in enumerate(findings)
    )


def _closes(other: str, name: str, folded: Mapping[str, tuple[str, ...]]) -> bool:
    """Does `other` already explain `name`?"""
    return name in folded[other] or any(name in folded[third] for third in folded[other])


def _explained(name: str, by_id: Mapping[str, Finding], present: Mapping[str, FaultFound]) -> set[str]:
    """Present findings that follow from one, over any number of links.

    None runs over a finding that is not present.

    An info explains infos alone: what is not wrong is no cause of what is.
    """
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        for other in _links(present[waiting.pop()]):
            if other in by_id and other != name and other not in reached:
                reached.add(other)
                waiting.append(other)
    info = by_id[name].severity == "info"
    return {other for other in reached if not (info and by_id[other].severity != "info")}


def _links(outcome: FaultFound) -> list[str]:
    """What follows from a finding directly; a link with a condition needs a faulty row that meets it."""
    faulty = [row for row in outcome.rows if row["fault"]]
    return [
        other
        for other, column in outcome.detector.links.items()
        if column is None or any(row.get(column) for row in faulty)
    ]


def _role(finding: Finding, explained: bool) -> Role:
    """`cause` is what no other finding present explains; what is seen in output or loss stays a symptom."""
    if finding.role == "symptom":
        return "symptom"
    return "consequence" if explained else "cause"


def _weight(outcome: FaultFound, finding: Finding, sequences: Mapping[str, int]) -> _Weight:
    shares = [
        float(row["share"])
        for row in outcome.rows
        if row["fault"] and isinstance(row.get("share"), (int, float, Decimal))
    ]
    family = outcome.detector.path.parent.name
    return _Weight(
        max(shares, default=0.0),
        sequences.get(finding.where or "", float("inf")),
        FAMILIES.index(family) if family in FAMILIES else len(FAMILIES),
    )


def _rank(
    finding: Finding, explains: set[str], by_id: Mapping[str, Finding], weights: Mapping[str, _Weight]
) -> tuple[object, ...]:
    serious = sum(by_id[other].severity != "info" for other in explains)
    weight = weights[finding.id]
    return (
        finding.severity == "info",
        ROLES.index(finding.role),
        finding.confidence != "proved",
        -serious,
        -SEVERITIES.index(finding.severity),
        -CONFIDENCES.index(finding.confidence),
        -weight.share,
        weight.sequence,
        weight.family,
    )
