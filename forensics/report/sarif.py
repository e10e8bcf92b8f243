"""A diagnosis as SARIF 2.1.0, which code scanning, IDEs and CI read."""

from __future__ import annotations

import hashlib
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from forensics import __version__
from forensics.records import Allowed, Diagnosis, Finding, TwoRuns
from forensics.report.places import of_cause
from forensics.report.terminal.lines import safe
from forensics.store.manifest import run_of

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def log(diagnosis: Diagnosis | TwoRuns) -> dict[str, Any]:
    """One SARIF log with one run.

    Of two runs that are compared, what was found in the second, whose verdict is theirs.
    """
    judged = diagnosis.runs[-1] if isinstance(diagnosis, TwoRuns) else diagnosis
    findings = [*judged.findings, *(allowed.finding for allowed in judged.allowed)]
    ids = list(dict.fromkeys(finding.id for finding in findings))
    rules = [_rule(next(f for f in findings if f.id == finding_id)) for finding_id in ids]
    reasons = {id(allowed.finding): allowed for allowed in judged.allowed}
    results = [_result(f, findings, ids.index(f.id), judged, reasons.get(id(f))) for f in findings]
    unseen = [
        {
            "level": "note",
            "descriptor": {"id": outcome.id},
            "message": {"text": f"Not evaluated: {safe(outcome.needs)}"},
        }
        for outcome in judged.not_evaluated
    ]
    run = {
        "tool": {"driver": {"name": "mlx-forensics", "semanticVersion": __version__, "rules": rules}},
        "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": unseen}],
        "results": results,
        "columnKind": "unicodeCodePoints",
        "properties": {"a": judged.a, "b": judged.b, "verdict": judged.verdict, "headline": judged.headline},
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(finding: Finding) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "id": finding.id,
        "shortDescription": {"text": safe(finding.title)},
        "defaultConfiguration": {"level": _LEVELS[finding.severity]},
    }
    return rule | ({"help": {"text": safe(finding.fix)}} if finding.fix else {})


def _result(
    finding: Finding, findings: list[Finding], index: int, judged: Diagnosis, allowed: Allowed | None
) -> dict[str, Any]:
    lines = [f"{e.subject}: {e.observed} (expected {e.expected})" for e in finding.evidence[:8]]
    text = "\n".join(
        map(safe, [finding.claim, *lines, *([f"Mend it: {finding.fix}"] if finding.fix else [])])
    )
    result: dict[str, Any] = {
        "ruleId": finding.id,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": text},
        "partialFingerprints": {"forensics/v1": _fingerprint(finding, judged)},
        "properties": {
            "role": finding.role,
            "confidence": finding.confidence,
            "explains": list(finding.explains),
        },
    }
    location = _location(finding, findings)
    result |= {"locations": [location]} if location else {}
    if allowed is not None:
        result["suppressions"] = [{"kind": "external", "justification": safe(allowed.reason)}]
    return result


def _location(finding: Finding, findings: list[Finding]) -> dict[str, Any] | None:
    """The line to mend; a consequence has that of its cause. A notebook's cell is a logical location."""
    where = of_cause(finding, findings)
    if where is None:
        return None
    if where.cell:
        return {"logicalLocations": [{"fullyQualifiedName": f"{where.file}:{where.line}", "kind": "module"}]}
    region: dict[str, Any] = {"startLine": where.line}
    if finding.source:
        region["snippet"] = {"text": safe(finding.source)}
    path = PurePath(where.file)
    uri = path.as_uri() if path.is_absolute() else quote(path.as_posix())
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, "region": region}}


def _fingerprint(finding: Finding, judged: Diagnosis) -> str:
    """The same text for the same finding at the same place of the same run's name.

    The numbers of the finding do not change it.
    """
    file = (finding.where or "").partition(":")[0]
    run = run_of(judged.b)
    return hashlib.sha256("\0".join([finding.id, file, run]).encode("utf-8", "surrogatepass")).hexdigest()
