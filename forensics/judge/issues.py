"""Public issues of a fault, shown where the captured versions have it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache

from forensics import schema
from forensics.judge.deltas import Evidence as Session


@dataclass(frozen=True)
class Issue:
    """One line of queries/issues.jsonl: `fixed_in` of `package` has it no longer.

    None: it concerns every version.
    """

    finding: str
    issue: str
    title: str
    package: str | None = None
    fixed_in: str | None = None


@cache
def load() -> tuple[Issue, ...]:
    """Every known issue, in the order of the file."""
    lines = (schema.queries() / "issues.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(Issue(**json.loads(line)) for line in lines if line.strip())


def references(finding: str, versions: dict[str, str] | None = None) -> tuple[str, ...]:
    """The issues of a finding, or those that the captured versions may have: `REPOSITORY#NUMBER title`."""
    return tuple(
        f"{known.issue} {known.title}"
        for known in load()
        if known.finding == finding and (versions is None or _concerns(known, versions))
    )


def _concerns(issue: Issue, versions: dict[str, str]) -> bool:
    if issue.fixed_in is None:
        return True
    captured = versions.get(issue.package or "")
    return captured is not None and _order(captured) < _order(issue.fixed_in)


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:4])


def versions(session: Session, ref: str) -> dict[str, str]:
    """Package to version, as captured."""
    rows = session.rows(
        "SELECT key, any_value(value) AS value FROM environment"
        " WHERE capture IN (capture_of(?), run_of(?)) GROUP BY key",
        [ref, ref],
    )
    return {str(row["key"]): str(row["value"]) for row in rows}
