"""What detectors say of the snapshots that their headers name, to the word.

The zoo's programs are held in tests/zoo.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from forensics.judge.diagnose import diagnose, document
from forensics.store.store import Store
from tests.support import claims

FIRES, SILENT = claims.named("fires on"), claims.named("silent on")
SNAPSHOTS = sorted({source for source in (*FIRES, *SILENT) if source.startswith("snapshots/")})


@pytest.mark.parametrize("source", SNAPSHOTS)
def test_snapshots(source: str, tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    found = document(diagnose(Store(tmp_path / ".forensics"), [source]))
    assert claims.silent(source, found) == []
    if source in FIRES:
        golden(str(claims.path(source)), claims.text(source, found))
        assert "absent" not in claims.path(source).read_text().splitlines()[0]


def test_what_fires_is_recorded_and_nothing_else() -> None:
    """Of every program and snapshot that a header names under `fires on` the exact words are kept, all of
    them: a finding that is said to be absent is a header or a program to mend.
    """
    kept = {each.name: each.read_text() for each in claims.FINDINGS.glob("*.txt")}
    named = {claims.path(source).name for source in FIRES}
    assert named == kept.keys()
    assert [name for name, text in kept.items() if ": absent\n" in text] == []


def test_every_named_program_is_there() -> None:
    from tests.zoo import zoo

    cases = {f"zoo/{case.name}" for case in zoo.cases()}
    assert {source for source in (*FIRES, *SILENT) if source.startswith("zoo/")} <= cases | {
        f"zoo/{case.program}" for case in zoo.cases()
    }


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("padding carries 71 % at train.py:34", True),
        ("padding carries 30 % at train.py:34", False),
        ("padding carries 72 % at train.py:35", False),
        ("the prompt carries 72 % at train.py:34", False),
    ],
)
def test_words_and_places_are_exact_and_numbers_are_near(text: str, same: bool) -> None:
    assert claims.alike(text, "padding carries 72 % at train.py:34") is same
