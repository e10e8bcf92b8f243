"""Detectors are judged on tables of the pair.

They say what their macros say, which work everything out for themselves.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from forensics import schema
from forensics.errors import QueryError
from forensics.judge import library
from forensics.judge.pair import Pair
from forensics.judge.resolver import opened
from forensics.store.store import Store
from tests.support.evidence import capture, evidence, parameter, run

SNAPSHOTS = Path(__file__).parents[2] / "snapshots"


@pytest.mark.parametrize(
    "snapshot",
    ["padded-lora", *(pytest.param(name, marks=pytest.mark.long) for name in ("broken-stub", "fixed"))],
)
def test_every_detector_says_the_same_of_tables_and_by_its_macro(snapshot: str) -> None:
    asked = opened(Store(SNAPSHOTS / snapshot), [snapshot])
    ours, session = asked.library, asked.session
    ours.install(session)
    pair = Pair(session, ours, asked.a, asked.b)
    for detector in ours.detectors:
        alone = session.rows(f"SELECT * FROM {detector.macro}(?, ?)", [asked.a, asked.b])
        assert sorted(map(str, pair.rows(detector))) == sorted(map(str, alone)), detector.name
    pages = {"settings_compared"}  # read by the report alone
    assert session.filled.keys() == ours.tables.keys() - pages


def test_a_table_holds_the_pair_that_asks() -> None:
    moved = [*parameter("loaded", "w", "d0"), *parameter("start", "w", "d0"), *parameter("end", "w", "d1")]
    session = evidence(run(), capture("loaded"), capture("start"), capture("end"), moved)
    ours = library.load()
    pairs = {
        True: Pair(session, ours, "r@loaded", "r@end"),
        False: Pair(session, ours, "r@loaded", "r@start"),
    }
    for changed in (True, False, True):
        pairs[changed].fill("own_moves")
        assert [row["changed"] for row in session.rows("SELECT changed FROM own_moves")] == [changed]
        assert session.filled["moves"] == pairs[changed].refs


def test_no_table_hides_one_of_the_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not library.load().tables.keys() & schema.tables().keys()
    (tmp_path / "steps.sql").write_text("-- T\n--\n-- params: b\nSELECT 1 AS x")
    with pytest.raises(QueryError, match="schema.sql is named steps"):
        library._tables([tmp_path / "steps.sql"])


@pytest.mark.parametrize("reads", ["two", "one", "nothing"])
def test_tables_that_read_each_other_are_refused(tmp_path: Path, reads: str) -> None:
    (tmp_path / "one.sql").write_text(f"-- T\n--\n-- params: b\n-- reads: {reads}\nSELECT 1 AS x")
    (tmp_path / "two.sql").write_text("-- T\n--\n-- params: b\n-- reads: one\nSELECT 1 AS x")
    with pytest.raises(QueryError, match="reads what is no table"):
        library._tables([tmp_path / "one.sql", tmp_path / "two.sql"])


HEADER = "-- T\n--\n-- severity: info\n-- role: symptom\n-- confidence: certain\n-- claim: c\n"
BODY = "SELECT '' AS subject, '' AS observed, '' AS expected, changed AS fault FROM "


def test_a_private_detector_reads_tables_or_calls_macros(tmp_path: Path) -> None:
    (tmp_path / "by-table.sql").write_text(HEADER + "-- reads: moves\n" + BODY + "moves ORDER BY subject")
    (tmp_path / "by-macro.sql").write_text(HEADER + BODY + "moves(a, b) ORDER BY subject")
    moved = [*parameter("loaded", "w", "d0"), *parameter("end", "w", "d1")]
    session = evidence(run(), capture("loaded"), capture("end"), moved, private=tmp_path)
    ours = library.load(tmp_path)
    pair = Pair(session, ours, "r@loaded", "r@end")
    by_table, by_macro = (pair.rows(ours.get(name)) for name in ("by-table", "by-macro"))
    assert by_table == by_macro and [row["fault"] for row in by_table] == [True]
    unread = replace(ours.get("by-table"), header={})
    with pytest.raises(QueryError):
        evidence(run()).rows(f"SELECT * FROM ({unread.body})")
