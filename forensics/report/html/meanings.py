"""What the findings of a page mean, for a reader who has the page alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from markupsafe import Markup

from forensics.judge import library
from forensics.judge.query import Detector
from forensics.judge.specimen import example
from forensics.records import Finding
from forensics.report.html.render import macros


class _Meaning(NamedTuple):
    id: str
    title: str
    harmless: str
    claim: str
    source: str


def linked(findings: Iterable[Finding]) -> frozenset[str]:
    """The ids of these that are ours: a private detector says itself what it means."""
    return frozenset(f.id for f in findings if f.id in library.load().queries)


def meanings(ids: Iterable[str]) -> Markup:
    """A part for each, with the anchor `f-ID` that its id links to."""
    return Markup(macros("cards").meanings([_meaning(name) for name in sorted(ids)]))


def _meaning(name: str) -> _Meaning:
    detector = library.load().get(name)
    assert isinstance(detector, Detector)
    seen = example(detector)
    claim, source = (seen.finding.claim, seen.source) if seen else ("", "")
    return _Meaning(name, detector.title, detector.text("harmless"), claim, source)
