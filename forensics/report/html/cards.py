"""The verdict, and causes as cards.

Claim, evidence, what was ruled out, the fix with its line, and what follows drawn as a chain.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from forensics.records import Diagnosis, Finding, TwoRuns
from forensics.report.html.render import macros
from forensics.units import counted

_MAX_EVIDENCE = 8
_MAX_CAUSES = 3  # beside the first, in the verdict


def verdict(diagnosis: Diagnosis | TwoRuns, name: str = "") -> Markup:
    """The verdict in one line: the word, the first cause, how many there are."""
    word, sentence, counts = summary(diagnosis)
    judged = judged_of(diagnosis)
    causes = [f for f in judged.findings if f.severity != "info"]
    others = [f for f in causes if f.role == "cause" and f is not causes[0]][:_MAX_CAUSES]
    gaps = judged.notes if judged.verdict == "inconclusive" else ()
    return Markup(macros("cards").verdict(name, word, sentence, others, counts, gaps, judged.allowed))


def judged_of(diagnosis: Diagnosis | TwoRuns) -> Diagnosis:
    """What decides the verdict: of two runs the second."""
    return diagnosis.runs[1] if isinstance(diagnosis, TwoRuns) else diagnosis


def summary(diagnosis: Diagnosis | TwoRuns) -> tuple[str, str, str]:
    """The word, what it claims first, and the counts."""
    judged = judged_of(diagnosis)
    serious = [f for f in judged.findings if f.severity != "info"]
    return judged.verdict, serious[0].claim if serious else _word(judged), _counted(judged, serious)


def _word(judged: Diagnosis) -> str:
    """What a verdict without a finding claims."""
    return f"{judged.headline[:1].upper()}{judged.headline[1:]}."


def _counted(judged: Diagnosis, serious: Sequence[Finding]) -> str:
    parts = [
        counted(n, role)
        for role in ("cause", "consequence", "symptom")
        if (n := sum(f.role == role for f in serious))
    ]
    looked = f"{counted(len(judged.clean), 'check')} clean" if judged.clean else ""
    unseen = f"{len(judged.not_evaluated)} not evaluated" if judged.not_evaluated else ""
    return " · ".join(filter(None, [*parts, looked, unseen]))


def findings(listed: Sequence[Finding], clean: int = 0, linked: Collection[str] = ()) -> Markup:
    """Causes and what stands alone as cards.

    What a cause explains stands in its card as a chain, mere information below. `linked` are the ids whose
    meaning the page says as well: they link there.
    """
    explained = {name for f in listed for name in f.explains}
    alone = [f for f in listed if f.id not in explained]
    by_id = {f.id: f for f in listed}
    serious = [f for f in alone if f.severity != "info"]
    shown = [card(n if len(serious) > 1 else 0, f, by_id, linked) for n, f in enumerate(serious, 1)]
    looked = f": {counted(clean, 'check')} looked, and each was clean" if clean else ""
    infos = [f for f in alone if f.severity == "info"]
    return Markup(macros("cards").findings(shown, infos, f"No finding{looked}.", linked))


def card(number: int, finding: Finding, by_id: Mapping[str, Finding], linked: Collection[str] = ()) -> Markup:
    """One finding; a number of 0 is not shown."""
    return Markup(macros("cards").card(number, finding, _chain(finding, by_id), _MAX_EVIDENCE, linked))


class Branch(NamedTuple):
    """A finding in the chain, and what follows from it directly."""

    finding: Finding
    follows: list[Branch]


def _chain(cause: Finding, by_id: Mapping[str, Finding]) -> Branch | None:
    """What a cause explains, as a tree: each finding under that which leads to it directly."""
    if not any(name in by_id for name in cause.explains):
        return None
    return _branch(cause, by_id, {cause.id})


def _branch(finding: Finding, by_id: Mapping[str, Finding], placed: set[str]) -> Branch:
    follows = []
    for other in _next(finding, by_id):
        if other.id not in placed:
            placed.add(other.id)
            follows.append(_branch(other, by_id, placed))
    return Branch(finding, follows)


def _next(finding: Finding, by_id: Mapping[str, Finding]) -> Iterator[Finding]:
    """What follows directly: nothing between explains it."""
    explained = [by_id[name] for name in finding.explains if name in by_id]
    return (f for f in explained if not any(f.id in other.explains for other in explained if other is not f))
