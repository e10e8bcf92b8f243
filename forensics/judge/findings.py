"""What explains what: findings in order, causes first, one finding a cause with what follows from it folded under it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from forensics.judge.library import Library
from forensics.judge.outcomes import CONFIDENCES, SEVERITIES, Clean, Found, Outcome, phrase
from forensics.records import Finding, Role

ROLES: Sequence[Role] = ("cause", "consequence", "symptom")
_ABOVE = re.compile(r"^[^;]*\bthe causes above; where there are none, ")
"""How a fix begins that is meant for what stands under a cause."""


def ordered(library: Library, outcomes: Mapping[str, Outcome], question: str) -> tuple[Finding, ...]:
    """Findings of all outcomes: causes, the one that explains most first, then consequences and symptoms.

    `question` is what follows `forensics query ID` to see a finding's rows.
    """
    found = {
        name: phrase(outcome, outcomes, f"forensics query {name} {question}".strip())
        for name, outcome in outcomes.items()
        if isinstance(outcome, Found)
    }
    explains = {name: _explained(name, found, outcomes, library) for name in found}
    ranked = sorted(found, key=lambda name: _rank(found[name], explains[name], found))
    kept: dict[str, tuple[str, ...]] = dict.fromkeys(ranked, ())
    under: set[str] = set()
    for name in ranked:
        # two that explain each other: the one that ranks first keeps the other under it
        kept[name] = tuple(other for other in ranked if other in explains[name] and not _closes(other, name, kept))
        under |= set(kept[name])
    findings = [replace(found[name], explains=kept[name], role=_role(found[name], name in under)) for name in ranked]
    findings.sort(key=lambda f: (ROLES.index(f.role), _rank(f, set(f.explains), found)))
    causes = [place for place, f in enumerate(findings) if f.role == "cause" and f.severity != "info"]
    return tuple(f if causes and place > causes[0] else replace(f, fix=_ABOVE.sub("", f.fix)) for place, f in enumerate(findings))


def _closes(other: str, name: str, kept: Mapping[str, tuple[str, ...]]) -> bool:
    """Does `other` already explain `name`?"""
    return name in kept[other] or any(name in kept[third] for third in kept[other])


def _explained(name: str, found: Mapping[str, Finding], outcomes: Mapping[str, Outcome], library: Library) -> set[str]:
    """Present findings that follow from one, over any number of links; a link that was looked at and is clean carries nothing on.

    An info explains infos alone: what is not wrong is no cause of what is.
    """
    headers = {detector.name: detector.names("explains") for detector in library.detectors}
    reached: set[str] = set()
    waiting = list(headers[name])
    while waiting:
        other = waiting.pop()
        if other in reached or other == name or isinstance(outcomes.get(other), Clean):
            continue
        reached.add(other)
        waiting += headers.get(other, ())
    info = found[name].severity == "info"
    return {other for other in reached if other in found and not (info and found[other].severity != "info")}


def _role(finding: Finding, explained: bool) -> Role:
    """`cause` is what no other finding present explains; what is seen in output or loss stays a symptom."""
    if finding.role == "symptom":
        return "symptom"
    return "consequence" if explained else "cause"


def _rank(finding: Finding, explains: set[str], found: Mapping[str, Finding]) -> tuple[object, ...]:
    serious = sum(found[other].severity != "info" for other in explains)
    return (
        finding.severity == "info",
        ROLES.index(finding.role),
        -serious,
        -SEVERITIES.index(finding.severity),
        -CONFIDENCES.index(finding.confidence),
        finding.id,
    )
