"""A diagnosis as workflow commands of GitHub Actions.

They show at the line of a pull request that they are about.
"""

from __future__ import annotations

from forensics.records import Diagnosis, Finding, TwoRuns
from forensics.report.places import of_cause
from forensics.report.terminal.lines import safe

_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def lines(diagnosis: Diagnosis | TwoRuns) -> list[str]:
    """One command a finding; of two runs, those of the second."""
    judged = diagnosis.runs[-1] if isinstance(diagnosis, TwoRuns) else diagnosis
    return [_line(finding, judged.findings) for finding in judged.findings]


def _line(finding: Finding, findings: tuple[Finding, ...]) -> str:
    where = of_cause(finding, findings)
    properties = {"title": f"{finding.id} ({finding.confidence})"}
    if where is not None and not where.cell:
        properties |= {"file": where.file, "line": str(where.line)}
    named = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    place = f"{where.file}:{where.line}: " if where is not None and where.cell else ""
    message = f"{place}{safe(finding.claim)}" + (f"\nMend it: {safe(finding.fix)}" if finding.fix else "")
    return f"::{_COMMANDS[finding.severity]} {named}::{_data(message)}"


def _data(text: str) -> str:
    """As the runner reads messages: what would end a line is spelled."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(safe(text)).replace(":", "%3A").replace(",", "%2C")
