"""Every cause has a cure, or a line in docs/proof.md that says why it has none."""

from __future__ import annotations

import re
from pathlib import Path

from forensics.prove import cures

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "proof.md").read_text(encoding="utf-8")


def causes() -> set[str]:
    """Findings that are causes and count: errors and warnings."""
    found = set()
    for path in (ROOT / "queries" / "detect").rglob("*.sql"):
        told = dict(re.findall(r"^-- (role|severity):\s*(\w+)", path.read_text(encoding="utf-8"), re.M))
        if told["role"] == "cause" and told["severity"] != "info":
            found.add(path.stem)
    return found


def test_the_page_says_why_a_cause_has_no_cure() -> None:
    table = PAGE.partition("## What has no cure")[2].partition("\n## ")[0]
    listed = dict(re.findall(r"^\| ([a-z]+(?:-[a-z]+)*) \| (.*) \|$", table, re.M))
    del listed["finding"]
    assert {name: listed.get(name) for name in cures.UNCURED} == cures.UNCURED
    assert set(listed) == causes() - set(cures.curable_ids())
    assert f"{len(cures.curable_ids())} findings have a cure" in table


def test_every_cure_is_of_a_finding() -> None:
    named = {path.stem for path in (ROOT / "queries" / "detect").rglob("*.sql")}
    assert set(cures.curable_ids()) <= named
    assert all(cures.about(name) for name in cures.curable_ids())
