"""What a stats bundle says of every program of the zoo is what the store says.

All text is redacted in the bundle.
"""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from forensics import schema
from forensics.cli import main
from tests.zoo import zoo
from tests.zoo.conftest import Diagnosed


def forensics(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def said(document: dict[str, Any]) -> tuple[str, list[str], list[str]]:
    """Verdict, ids of findings in order, ids that were not evaluated."""
    return (
        document["verdict"],
        [f["id"] for f in document["findings"]],
        sorted(n["id"] for n in document["not_evaluated"]),
    )


def private(path: Path) -> set[str]:
    """Columns marked as private in which a bundle holds something."""
    found = set()
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            table = name.rpartition("/")[2].removesuffix(".jsonl.gz")
            for line in gzip.decompress(archive.read(name)).splitlines() if name.endswith(".gz") else ():
                found |= {
                    f"{table}.{column}"
                    for column in schema.marked("private")[table] & json.loads(line).keys()
                }
    return found


@pytest.mark.again
@pytest.mark.parametrize("case", list(zoo.cases()), ids=lambda case: case.name)
def test_the_verdict_survives_the_bundle(case: zoo.Case, diagnosed: Diagnosed, tmp_path: Path) -> None:
    work, here = diagnosed(case, broken=True)
    bug, other = tmp_path / "bug.zip", tmp_path / "other"
    sent = forensics("bundle", "run", "-o", bug, "--store", work / ".forensics")
    assert sent.exit_code == 0 and "no findings" not in sent.output, sent.output
    assert bug.stat().st_size < 25_000_000 and not private(bug)
    taken = forensics("open", bug, "--store", other)
    assert taken.exit_code == 0, taken.output
    there = json.loads(forensics("diagnose", "run", "--store", other, "--json").stdout)
    assert said(there) == said(here)
    with zipfile.ZipFile(bug) as archive:
        assert said(json.loads(archive.read("findings.json"))["runs"]["run"]) == said(here)
