"""Where a finding points, for tools that want a file and a line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from forensics.records import Finding

_PLACE = re.compile(r"(?P<file>.+?):(?P<line>[1-9]\d{0,8})(?P<rest>\s.*)?", re.DOTALL)
_CELL = re.compile(r"In\[\d+\]")


class Place(NamedTuple):
    """A file, relative to where the run was started unless it lies elsewhere, or a notebook's cell.

    And a line from 1.
    """

    file: str
    line: int

    @property
    def cell(self) -> bool:
        """Is it a cell of a notebook, which lies in no file?"""
        return _CELL.fullmatch(self.file) is not None


def place(finding: Finding) -> Place | None:
    """The place of `where`; None where there is none, or no line in it."""
    match = _PLACE.fullmatch(finding.where or "")
    return Place(match["file"], int(match["line"])) if match else None


def of_cause(finding: Finding, findings: Sequence[Finding]) -> Place | None:
    """Its own place; else that of what explains it, the first of those that have one."""
    return place(finding) or next((p for f in findings if finding.id in f.explains and (p := place(f))), None)
