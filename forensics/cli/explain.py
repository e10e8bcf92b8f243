"""forensics explain: a finding, what it means, how it looks, and how to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from forensics.cli.options import json_option, queries_option
from forensics.errors import no_such_finding

if TYPE_CHECKING:
    from pathlib import Path

    from forensics.judge.query import Detector
    from forensics.judge.specimen import Specimen

EXAMPLES = """\b
Examples:
  forensics explain padding-in-loss
  forensics explain lora-missing --json
"""
KEYS = ("claim", "fix", "harmless", "clean")


@click.command("explain", epilog=EXAMPLES)
@click.argument("finding", metavar="ID")
@json_option
@queries_option
def command(finding: str, as_json: bool, queries: Path | None) -> None:
    """Say what a finding means, how it looks in a real run, how to mend it, and what looks like it."""
    detector, specimen = _lookup(finding, queries)
    if as_json:
        from forensics.cli.screen import emit

        emit(explained(finding, queries))
        return
    from forensics.cli.screen import show, width
    from forensics.report.terminal import reference

    show(reference.finding(detector.name, _document(detector, specimen), specimen, width()))


def explained(finding: str, queries: Path | None) -> dict[str, Any]:
    """What `--json` gives. Raises UsageError where there is no such finding."""
    from forensics.judge.diagnose import finding_document

    detector, specimen = _lookup(finding, queries)
    example = specimen and finding_document(specimen.finding)
    return {
        "schema": 1,
        **_document(detector, specimen),
        "example": example,
        "example_of": specimen and specimen.source,
    }


def _lookup(finding: str, queries: Path | None) -> tuple[Detector, Specimen | None]:
    from forensics.judge import library
    from forensics.judge.query import Detector

    ours = library.load(queries)
    detector = ours.get(finding) if finding in ours.queries else None
    if not isinstance(detector, Detector):
        names = [each.name for each in ours.detectors]
        raise no_such_finding(finding, names, "forensics explain")
    return detector, _example(detector)


def _document(detector: Detector, specimen: Specimen | None) -> dict[str, Any]:
    from forensics.judge import issues

    lists = {
        key.replace(" ", "_"): list(detector.names(key)) for key in ("explains", "rules out", "references")
    }
    lists["references"] += issues.references(detector.name)
    texts = {key: detector.text(key) or None for key in KEYS}
    if texts["fix"] and "{" in texts["fix"]:  # it depends on what is seen: as it was there
        texts["fix"] = specimen.finding.fix if specimen else None
    head = {
        "id": detector.name,
        "title": detector.title,
        "severity": detector.severity,
        "role": detector.role,
    }
    return {
        **head,
        "confidence": detector.confidence,
        **texts,
        **lists,
        "check": f"forensics query {detector.name} RUN",
    }


def _example(detector: Detector) -> Specimen | None:
    """The finding in a recorded run that the package ships, else as a test recorded it."""
    from forensics.judge import specimen
    from forensics.judge.diagnose import diagnose_opened
    from forensics.judge.resolver import opened
    from forensics.store.place import find

    for name in detector.names("fires on"):
        if name.startswith("snapshots/"):
            judged = diagnose_opened(opened(find(None), (name,)))
            found = next((finding for finding in judged.findings if finding.id == detector.name), None)
            return specimen.Specimen(name, found) if found else None
    return specimen.example(detector)
