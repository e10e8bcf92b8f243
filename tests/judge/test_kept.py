"""Detectors are judged on helpers whose rows are kept for the pair: they say what they would say without."""

from __future__ import annotations

from pathlib import Path

import pytest

from forensics.judge import kept, library
from forensics.judge.opened import opened
from forensics.store.store import Store
from tests.support.evidence import capture, evidence, parameter, run

SNAPSHOTS = Path(__file__).parents[2] / "snapshots"


@pytest.mark.parametrize("snapshot", ["broken-stub", "padded-lora", "fixed"])
def test_every_detector_says_the_same_on_kept_rows(snapshot: str) -> None:
    asked = opened(Store(SNAPSHOTS / snapshot), [snapshot])
    found = kept.Kept(asked.session, asked.library, asked.a, asked.b)
    names = {detector.macro: found.asked(detector.macro) for detector in asked.library.detectors}
    under = [macro for macro, name in names.items() if name != macro]
    assert len(found.tables) >= 10 and len(under) >= 30
    for macro in under:
        plain, kept_ = (asked.session.rows(f"SELECT * FROM {name}(?, ?)", [asked.a, asked.b]) for name in (macro, names[macro]))
        assert sorted(map(str, plain)) == sorted(map(str, kept_)), macro


def test_kept_rows_are_of_the_pair_that_is_judged() -> None:
    moved = [*parameter("loaded", "w", "d0"), *parameter("start", "w", "d0"), *parameter("end", "w", "d1")]
    session = evidence(run(), capture("loaded"), capture("start"), capture("end"), moved)
    ours = library.load()
    for a, b, changed in (("r@loaded", "r@end", True), ("r@loaded", "r@start", False)):
        found = kept.Kept(session, ours, a, b)
        assert found.tables == {}  # nothing is worked out before it is needed
        found.asked("frozen_but_changed")
        assert found.tables["moves"] == "a, b"
        assert [row["changed"] for row in session.rows("SELECT changed FROM kept_moves")] == [changed]


HEADER = "-- T\n--\n-- severity: info\n-- role: symptom\n-- confidence: certain\n-- claim: c\n"
BODY = "SELECT '' AS subject, '' AS observed, '' AS expected, false AS fault FROM "


def test_a_helper_that_is_asked_of_other_captures_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "x.sql").write_text("CREATE OR REPLACE MACRO mine(a, b) AS TABLE SELECT a AS a, b AS b;")
    (tmp_path / "one.sql").write_text(HEADER + BODY + "mine(a, b)")
    (tmp_path / "two.sql").write_text(HEADER + BODY + "mine(a, b)")
    session = evidence(run(), capture("loaded"), capture("end"), private=tmp_path)
    found = kept.Kept(session, library.load(tmp_path), "r@loaded", "r@end")
    assert found.asked("one") == "judged_one" and "mine" in found.tables
    (tmp_path / "two.sql").write_text(HEADER + BODY + "mine(b, a)")
    found = kept.Kept(session, library.load(tmp_path), "r@loaded", "r@end")
    assert found.asked("one") == "one" and "mine" not in found.tables


def test_nor_one_whose_detector_another_asks_of_other_captures(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "x.sql").write_text("CREATE OR REPLACE MACRO mine(a, b) AS TABLE SELECT a AS a, b AS b;")
    (tmp_path / "one.sql").write_text(HEADER + BODY + "mine(a, b)")
    (tmp_path / "two.sql").write_text(HEADER + BODY + "mine(a, b)")
    (tmp_path / "three.sql").write_text(HEADER + BODY + "one(b, a)")
    found = kept.Kept(evidence(run(), private=tmp_path), library.load(tmp_path), "r@loaded", "r@end")
    assert found.asked("three") == "three" and "mine" not in found.tables
