"""The verdict, and causes as cards: claim, evidence, what was ruled out, the fix with its line, and what follows drawn as a chain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from forensics.records import Diagnosis, Evidence, Finding, TwoRuns
from forensics.report.html.escape import text
from forensics.report.html.unseen import WATCHED
from forensics.units import counted

_WORDS = {
    "faulty": "",
    "healthy": "Everything that decides was captured, and nothing is wrong with it.",
    "inconclusive": "No fault was found, but not everything that decides was captured.",
}
_MAX_EVIDENCE = 8
_MAX_CAUSES = 3  # beside the first, in the verdict


def verdict(diagnosis: Diagnosis | TwoRuns, name: str = "") -> str:
    """The verdict in one line: the word, the first cause, how many there are."""
    judged = diagnosis.runs[1] if isinstance(diagnosis, TwoRuns) else diagnosis
    serious = [f for f in judged.findings if f.severity != "info"]
    said = text(serious[0].claim) if judged.verdict == "faulty" and serious else _word(judged)
    gaps = "".join(f"<li>{text(note)}</li>" for note in judged.notes) if judged.verdict == "inconclusive" else ""
    others = [f for f in serious if f.role == "cause" and f is not serious[0]][:_MAX_CAUSES]
    also = "".join(f'<p class="also">And: {text(f.claim)}</p>' for f in others)
    return (
        f'<div class="verdict {judged.verdict}"><p class="said"><span class="word {judged.verdict}">{f"{text(name)} · " if name else ""}'
        f'{judged.verdict.capitalize()}</span>{said}</p>{also}<p class="count">{_counted(judged, serious)}</p>'
        + (f"<ul>{gaps}</ul></div>" if gaps else "</div>")
    )


def _word(judged: Diagnosis) -> str:
    """What a verdict without a finding claims: of files no more than files can show."""
    if judged.verdict == "healthy" and any(each.needs.endswith(WATCHED) for each in judged.not_evaluated):
        return "Nothing is wrong with what files can show. How it was trained was not watched."
    if judged.verdict == "inconclusive" and not judged.clean and judged.a == judged.b:
        return "Nothing was captured."
    return _WORDS[judged.verdict]


def _counted(judged: Diagnosis, serious: Sequence[Finding]) -> str:
    parts = [counted(n, role) for role in ("cause", "consequence", "symptom") if (n := sum(f.role == role for f in serious))]
    looked = f"{counted(len(judged.clean), 'check')} clean" if judged.clean else ""
    unseen = f"{len(judged.not_evaluated)} not evaluated" if judged.not_evaluated else ""
    return " · ".join(filter(None, [*parts, looked, unseen]))


def findings(found: Sequence[Finding], clean: int = 0) -> str:
    """Causes and what stands alone as cards; what a cause explains stands in its card as a chain, mere information below."""
    explained = {each for f in found for each in f.explains}
    alone = [f for f in found if f.id not in explained]
    serious = [f for f in alone if f.severity != "info"]
    by_id = {f.id: f for f in found}
    shown = "".join(card(number, f, by_id) for number, f in enumerate(serious, 1))
    infos = "".join(f"<li>{text(f.claim)} <code>{text(f.id)}</code></li>" for f in alone if f.severity == "info")
    notes = f'<h3 style="margin-top:1.2rem">Also seen</h3><ul>{infos}</ul>' if infos else ""
    looked = f": {counted(clean, 'check')} looked, and each was clean" if clean else ""
    none = f"<p>No finding{looked}.</p>"
    return shown + notes if shown else none + notes


def card(number: int, finding: Finding, by_id: Mapping[str, Finding]) -> str:
    parts = [("Saw", _evidence(finding.evidence)), ("So", _chain(finding, by_id))]
    parts.append(("Not", "".join(f"<li>{text(each)}</li>" for each in finding.ruled_out)))
    parts.append(("Fix", _fix(finding)))
    parts.append(("Check", f'<code class="copy">{text(finding.check)}</code>' if finding.check else ""))
    parts.append(("Known", ", ".join(f"<code>{text(r)}</code>" for r in finding.references)))
    lines = "".join(f"<dt>{name}</dt><dd>{f'<ul class=plain>{body}</ul>' if name == 'Not' else body}</dd>" for name, body in parts if body)
    role = "" if finding.role == "cause" else f'<span class="tag">{finding.role}</span>'
    return (
        f'<section class="card {finding.severity}"><h3>{number}. {text(finding.claim)}</h3>'
        f'<p class="meta"><code>{text(finding.id)}</code><span class="tag">{finding.severity}</span>{role}'
        f'<span class="tag">{finding.confidence}</span></p><dl class="rows">{lines}</dl></section>'
    )


def _evidence(evidence: Sequence[Evidence]) -> str:
    rows = [_fact(e) for e in evidence]
    if not rows:
        return ""
    rest = "".join(rows[_MAX_EVIDENCE:])
    more = f'<details><summary>and {len(rows) - _MAX_EVIDENCE} more</summary><ul class="saw">{rest}</ul></details>' if rest else ""
    return f'<ul class="saw">{"".join(rows[:_MAX_EVIDENCE])}</ul>{more}'


def _fact(e: Evidence) -> str:
    """Two facts that cannot both hold."""
    subject = f"<strong>{text(e.subject)}</strong>: " if e.subject else ""
    must = f'<br><span class="must">expected: {text(e.expected)}</span>' if e.expected and e.expected != "unknown" else ""
    return f"<li>{subject}{text(e.observed)}{must}</li>"


def _fix(finding: Finding) -> str:
    place = f'<code class="place">{text(finding.where)}</code>' if finding.where else ""
    fix = text(finding.fix[:1].upper() + finding.fix[1:]) if finding.fix else ""
    return f'<div class="fix">{place}{fix}</div>' if place or fix else ""


# -- the chain -------------------------------------------------------------------------------------------------------------


def _chain(cause: Finding, by_id: Mapping[str, Finding]) -> str:
    """What a cause explains, as a tree: each finding under that which leads to it directly."""
    if not any(each in by_id for each in cause.explains):
        return ""
    told: set[str] = {cause.id}
    return f'<ul class="chain" aria-label="what follows from {text(cause.id)}"><li>{_node(cause)}{_follows(cause, by_id, told)}</li></ul>'


def _follows(finding: Finding, by_id: Mapping[str, Finding], told: set[str]) -> str:
    branches = []
    for other in _next(finding, by_id):
        if other.id not in told:
            told.add(other.id)
            branches.append(f"<li>{_node(other)}{_follows(other, by_id, told)}</li>")
    return f"<ul>{''.join(branches)}</ul>" if branches else ""


def _next(finding: Finding, by_id: Mapping[str, Finding]) -> Iterator[Finding]:
    """What follows directly: nothing between explains it."""
    explained = [by_id[each] for each in finding.explains if each in by_id]
    return (f for f in explained if not any(f.id in other.explains for other in explained if other is not f))


def _node(f: Finding) -> str:
    said = text(f.id) if f.role == "cause" else text(f.claim)
    head = "cause" if f.role == "cause" else f"{f.role} · {text(f.id)}"
    return f'<div class="node {f.severity}"><b>{head}</b>{said}</div>'
