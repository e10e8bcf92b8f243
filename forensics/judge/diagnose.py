"""What went wrong: every detector asked, outcomes made into ordered findings and a verdict."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.judge import allow, evaluation, example, issues, outcomes, runs, verdict
from forensics.judge.deltas import Evidence as Session
from forensics.judge.findings import ordered
from forensics.judge.library import Library
from forensics.judge.pair import Pair
from forensics.judge.proofs import Document
from forensics.judge.query import Detector
from forensics.judge.resolver import Opened, opened
from forensics.records import Diagnosis, Evidence, Finding, NotEvaluated, Row, TwoRuns
from forensics.store.manifest import run_of
from forensics.typed import plain

if TYPE_CHECKING:
    from forensics.store.store import Store


def diagnose(
    store: Store, words: Sequence[str] = (), *, adapter: Path | None = None, queries: Path | None = None
) -> Diagnosis | TwoRuns:
    """Judge what the words mean: nothing = the newest run; a run; two captures, paths or runs.

    Raises:
        ForensicsError: no such ref, a model that cannot be read, damaged evidence, a private query that
        breaks the rules.
    """
    return diagnose_opened(opened(store, words, adapter=adapter, queries=queries, ask=True))


def diagnose_opened(evidence: Opened, allowances: Sequence[allow.Allowance] = ()) -> Diagnosis | TwoRuns:
    """Judge evidence that is open. `allowances`: what is accepted beside that of the configuration."""
    if evidence.empty is not None:
        why = "nothing was captured: the command never used a model of mlx in a Python that could be watched"
        needs = tuple(NotEvaluated(detector.name, why, "unseen") for detector in evidence.library.detectors)
        reason = "nothing was captured"
        return Diagnosis(
            evidence.empty, evidence.empty, "inconclusive", not_evaluated=needs, notes=(why,), headline=reason
        )
    allowed = (*evidence.allowed, *allowances)
    if evidence.two_runs is None:
        return judge(
            evidence.session,
            evidence.library,
            evidence.a,
            evidence.b,
            evidence.question,
            allowed,
            evidence.proofs.get(run_of(evidence.b)),
        )
    one, other = (
        judge(evidence.session, evidence.library, a, b, question, allowed, evidence.proofs.get(run_of(b)))
        for (a, b), question in zip(evidence.two_runs, evidence.questions, strict=True)
    )
    return runs.two_runs(evidence.session, one, other, evidence.questions)


def judge(
    session: Session,
    library: Library,
    a: str,
    b: str,
    question: str,
    allowances: Sequence[allow.Allowance] = (),
    proof: Document | None = None,
) -> Diagnosis:
    """One pair of captures, by ref; b's run is judged with all that was seen in it.

    `question`: the refs as the user would type them.

    `proof`: what `prove` found of the run.
    """
    facts = outcomes.Facts(session, a, b)
    outcome = outcomes.ask_all(Pair(session, library, a, b), library, facts)
    every = phrased(session, library, outcome, b, question, proof)
    about = session.rows("SELECT model_of($1) AS model", [b])[0]
    findings, allowed = allow.split(every, allowances, about["model"])
    gaps = verdict.gaps(session, b, outcome, facts)
    word = verdict.verdict(findings, gaps)
    return Diagnosis(
        a, b, word, findings, outcomes.not_evaluated(outcome), gaps, outcomes.cleared(outcome),
        example.example(session, a, b), allowed, verdict.headline(session, (a, b), word, findings, outcome),
        verdict.is_watched(session, b), evaluation.evaluation(session, b),
    )  # fmt: skip


def phrased(
    session: Session,
    library: Library,
    outcome: Mapping[str, outcomes.Outcome],
    b: str,
    question: str,
    proof: Document | None = None,
) -> tuple[Finding, ...]:
    """The findings of all outcomes, ordered, each with its public issues and the text of its line."""
    head: Row = next(iter(session.rows("SELECT lines FROM runs WHERE run = run_of(?)", [b])), {})
    texts = json.loads(str(head.get("lines") or "{}"))
    versions = issues.versions(session, b)
    calls = session.rows("SELECT place FROM events WHERE run = run_of(?) AND kind = 'train'", [b])
    trainers = {str(row["place"]) for row in calls if row["place"]}
    findings = ordered(library, outcome, question, _sequences(session, b), proof)
    return tuple(
        replace(finding, source=texts.get(finding.where))
        for finding in (
            _with_setting(library, texts, trainers, _with_references(library, versions, each))
            for each in findings
        )
    )


def _sequences(session: Session, b: str) -> dict[str, int]:
    """The first event of b's run at each place, by its number in the run."""
    select = (
        "SELECT place, min(sequence) AS first FROM events WHERE run = run_of(?)"
        " GROUP BY place HAVING first >= 0"
    )
    rows = session.rows(select, [b])
    return {str(row["place"]): int(row["first"]) for row in rows if row["place"]}


def _with_setting(
    library: Library, texts: Mapping[str, str], trainers: Collection[str], finding: Finding
) -> Finding:
    """Where no line of the program is to be mended, the setting is: an option of the command or a key.

    Nor is the line that calls a library's trainer.
    """
    header = library.get(finding.id)
    if finding.where not in (None, *trainers) or not isinstance(header, Detector):
        return finding
    for name in header.names("setting"):
        options = [place for place in texts if place == f"--{name.replace('_', '-')}"]
        keys = [place for place in texts if f".{place.partition(' ')[2]}".endswith(f".{name}")]
        if options or keys:
            return replace(finding, where=(options or keys)[0])
    return finding


def _with_references(library: Library, versions: dict[str, str], finding: Finding) -> Finding:
    header = library.get(finding.id)
    named = header.names("references") if isinstance(header, Detector) else ()
    known = tuple(dict.fromkeys((*issues.references(finding.id, versions), *named)))
    return replace(finding, references=known) if known else finding


# -- JSON ----------------------------------------------------------------------------------------------------


def document(diagnosis: Diagnosis | TwoRuns) -> dict[str, Any]:
    """What `diagnose --json` prints; its keys change only with `schema`."""
    head = {
        "schema": 2,
        "a": diagnosis.a,
        "b": diagnosis.b,
        "verdict": diagnosis.verdict,
        "headline": diagnosis.headline,
    }
    findings = [finding_document(finding) for finding in diagnosis.findings]
    if isinstance(diagnosis, TwoRuns):
        differences = [
            {"subject": d.subject, "a": d.expected, "b": d.observed} for d in diagnosis.differences
        ]
        return {
            **head,
            "schema": 1,
            "runs": [document(run) for run in diagnosis.runs],
            "differences": differences,
            "findings": findings,
        }
    needs = [
        {"id": outcome.id, "kind": outcome.kind, "needs": outcome.needs}
        for outcome in diagnosis.not_evaluated
    ]
    allowed = [
        {**finding_document(allowance.finding), "reason": allowance.reason} for allowance in diagnosis.allowed
    ]
    clean = [{"id": outcome.id, "said": outcome.summary} for outcome in diagnosis.clean]
    return {
        **head,
        "findings": findings,
        "allowed": allowed,
        "not_evaluated": needs,
        "notes": list(diagnosis.notes),
        "clean": clean,
        "evaluation": diagnosis.evaluation,
    }


def finding_document(finding: Finding) -> dict[str, Any]:
    evidence: list[dict[str, Any]] = [_evidence(each) for each in finding.evidence]
    row: dict[str, Any] = {
        k: getattr(finding, k) for k in ("id", "severity", "role", "confidence", "title", "claim")
    }
    row |= {
        "evidence": evidence,
        "ruled_out": list(finding.ruled_out),
        "fix": finding.fix,
        "where": finding.where,
        "source": finding.source,
    }
    row |= {
        "check": finding.check,
        "explains": list(finding.explains),
        "references": list(finding.references),
    }
    row |= {"proof": finding.proof} if finding.proof else {}
    document: dict[str, Any] = plain(row | ({"only_in": finding.only_in} if finding.only_in else {}))
    return document


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {"subject": evidence.subject, "observed": evidence.observed, "expected": evidence.expected}
