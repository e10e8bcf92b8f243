"""How a finding looks in a program that has the fault: the sentences that tests hold every detector to.

They are the golden files of the tests, which the package ships, so that what is shown is what is checked.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from forensics.judge.query import Detector
from forensics.records import Evidence, Finding

_HEAD = re.compile(r"^([a-z0-9-]+): (?:absent|([a-z]+), ([a-z]+))$", re.M)
_LINE = re.compile(r"^  (title|claim|fix|where|evidence): (.*)$", re.M)


class Specimen(NamedTuple):
    """A finding, and the program or run that it was recorded in."""

    source: str
    finding: Finding


@cache
def sentences() -> Path:
    """The directory of recorded sentences: packaged, or the checkout's."""
    packaged = Path(__file__).parents[1] / "_examples"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "tests" / "golden" / "findings"


def example(detector: Detector) -> Specimen | None:
    """The finding in the first program that the detector's header names under `fires on`."""
    for source in detector.names("fires on"):
        path = sentences() / f"{source.replace('/', '-')}.txt"
        finding = _read(detector, path.read_text(encoding="utf-8")) if path.is_file() else None
        if finding is not None:
            return Specimen(source, finding)
    return None


def _read(detector: Detector, text: str) -> Finding | None:
    heads = [*_HEAD.finditer(text)]
    for n, head in enumerate(heads):
        if head[1] == detector.name and head[2]:
            end = heads[n + 1].start() if n + 1 < len(heads) else len(text)
            return _finding(detector, head, _LINE.findall(text, head.end(), end))
    return None


def _finding(detector: Detector, head: re.Match[str], lines: list[tuple[str, str]]) -> Finding:
    one = dict(lines)
    severity: Any = head[2]
    confidence: Any = head[3]
    rows = [value.split(" | ") for key, value in lines if key == "evidence"]
    return Finding(
        id=detector.name,
        severity=severity,
        role=detector.role,
        confidence=confidence,
        title=one["title"],
        claim=one["claim"],
        evidence=tuple(Evidence(*(_given(each) for each in row)) for row in rows if len(row) == 3),
        fix=_given(one["fix"]),
        where=_given(one["where"]) or None,
    )


def _given(text: str) -> str:
    return "" if text == "None" else text
