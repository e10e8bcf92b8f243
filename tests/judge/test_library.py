"""The library: headers, checks, macros, and the facts that detectors need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forensics.errors import QueryError
from forensics.judge import check, library
from forensics.store.session import from_rows
from tests.support.evidence import (
    ask,
    capture,
    evidence,
    loss_token,
    missing,
    parameter,
    probe,
    row,
    run,
    step,
)


def test_paired_gives_each_parameter_once() -> None:
    session = evidence(
        run(), capture("loaded"), capture("end"),
        parameter("loaded", "q.weight", "d0"),
        parameter("end", "q.linear.weight", "d0", canonical="q.weight"),
        parameter("loaded", "k.weight", "d1"), parameter("end", "k.weight", "d2"),
        parameter("end", "q.lora_a", "d3", role="lora_a"), parameter("loaded", "embed.weight", "e"),
        parameter("loaded", "head.weight", "e", canonical="embed.weight", shared_with="embed.weight"),
        parameter("end", "embed.weight", "e"),
    )  # fmt: skip
    rows = session.rows(
        "SELECT canonical, name_a, name_b, status FROM paired('r@loaded', 'r') ORDER BY canonical"
    )
    assert [tuple(r.values()) for r in rows] == [
        ("embed.weight", "embed.weight", "embed.weight", "identical"),
        ("k.weight", "k.weight", "k.weight", "changed"),
        ("q.lora_a", None, "q.lora_a", "added"),
        ("q.weight", "q.weight", "q.linear.weight", "identical"),
    ]


def test_needs_say_what_is_missing() -> None:
    bare = evidence(run(), capture("loaded"), capture("end"))
    assert missing(bare, "parameters") == "the parameters of a model"
    assert missing(bare, "updates") is None
    assert missing(bare, "trainable") == "the trainable set of r@end"
    assert missing(bare, "probes") == "the answers to probes at r@loaded and r@end"
    assert missing(bare, "saved") == "nothing was saved"
    assert missing(bare, "loss_tokens") == "the loss is not taken on the output of a language model's forward"
    rest = evidence(
        [("runs", {"run": "r", "kind": "rest", "main_model": "m0"})],
        capture("rest"),
        parameter("rest", "w", "d"),
    )
    assert missing(rest, "parameters", "r@rest", "r@rest") is None
    for fact in (
        "run",
        "trainable",
        "updates",
        "loss_tokens",
        "generations",
        "saved",
        "reloaded",
        "steps",
        "gradients",
        "compiled",
    ):
        said = missing(rest, fact, "r@rest", "r@rest")
        assert said is not None and "forensics capture -- COMMAND" in said


def test_needs_are_met_by_rows() -> None:
    session = evidence(
        run(), capture("loaded"), capture("start"), capture("end"), parameter("loaded", "w", "d0"),
        parameter("end", "w", "d0"), parameter("start", "w", "d0", trainable=True), loss_token(1, 0, 1.0),
        step(1), probe("loaded"), probe("end"),
    )  # fmt: skip
    for fact in ("parameters", "run", "trainable", "updates", "loss_tokens", "probes", "steps", "deltas"):
        assert missing(session, fact) is None, fact


def test_every_fact_has_its_macro() -> None:
    session = evidence(run(), capture("end"))
    facts = library.load().facts
    assert len(facts) == 26
    for fact in facts:
        missing(session, fact, "r@end", "r@end")


DETECTOR = """-- A parameter is not there.
--
-- severity: warning
-- role: cause
-- confidence: certain
-- needs: parameters
-- claim: {subject} is {observed}.
--   It should not be.
-- fix: put it back
SELECT name AS subject, 'gone' AS observed, 'there' AS expected, digest IS NULL AS fault
FROM parameters ORDER BY name
"""


def test_header_is_read() -> None:
    found = library.parse(Path("gone-missing.sql"), DETECTOR)
    assert isinstance(found, library.Detector)
    assert found.macro == "gone_missing" and found.title == "A parameter is not there."
    assert found.text("claim") == "{subject} is {observed}. It should not be."
    assert found.names("needs") == ("parameters",)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("-- role: cause", "-- rolle: cause", "'rolle' is no key"),
        ("-- role: cause", "-- role: reason", "role must be one of"),
        ("-- fix: put it back\n", "", "no fix"),
        ("-- needs: parameters", "-- params: b, a", "begin with a, b"),
        ("-- needs: parameters", "-- params: a, b, floor", "has no default"),
        ("-- needs: parameters", "-- role: cause", "stands twice"),
        ("-- needs: parameters", "-- what it: is", "is no key of a detector"),
    ],
)
def test_header_that_breaks_the_rules_is_refused(old: str, new: str, says: str) -> None:
    with pytest.raises(QueryError, match=says):
        library.parse(Path("gone-missing.sql"), DETECTOR.replace(old, new))


def empty() -> Any:
    return from_rows({})


def test_ours_keep_the_rules() -> None:
    check.check(library.load(), empty())


def test_private_columns_are_those_that_the_schema_says() -> None:
    private = {
        (table, name) for table, names in check.columns().items() for name, hidden in names.items() if hidden
    }
    assert {
        ("transcripts", "prompt"),
        ("transcripts", "output"),
        ("loss_tokens", "target_id"),
        ("captures", "path"),
    } <= private
    assert ("tokens", "class") not in private and ("transcripts", "output_digest") not in private
    assert len(check.columns()["tensors"]) == 14


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("ORDER BY name\n", "ORDER BY name; SELECT 1\n", "more than one statement"),
        ("ORDER BY name\n", "ORDER BY name; DROP TABLE runs\n", "not one SELECT"),
        (" ORDER BY name", "", "no ORDER BY"),
        ("'there' AS expected, ", "", "gives no column expected"),
        ("digest IS NULL AS fault", "1 AS fault", "INTEGER, not BOOLEAN"),
        ("{observed}", "{seen}", "is no column"),
        ("-- needs: parameters", "-- needs: parameter", "is no fact"),
        ("-- needs: parameters", "-- explains: nothing-at-all", "is no detector"),
        ("-- needs: parameters", "-- params: a, b, layer = 3", "bears the name of a column"),
        (
            "SELECT name AS subject",
            "SELECT (SELECT max(output) FROM transcripts) AS subject",
            "without private columns",
        ),
        ("FROM parameters", "FROM parametres", "DuckDB refuses it"),
    ],
)
def test_private_detector_that_breaks_the_rules_is_refused(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in DETECTOR
    (tmp_path / "gone-missing.sql").write_text(DETECTOR.replace(old, new))
    ours = library.load(tmp_path)
    with pytest.raises(QueryError, match=says) as refused:
        check.check(ours, empty(), only=[ours.get("gone-missing")])
    assert refused.value.where.endswith("gone-missing.sql")


def test_private_queries_stand_beside_ours(tmp_path: Path) -> None:
    (tmp_path / "gone-missing.sql").write_text(DETECTOR)
    session = evidence(
        run(), capture("end"), parameter("end", "w", None, error="placeholder"), private=tmp_path
    )
    assert ask(session, "gone-missing", "r@end", "r@end") == [
        {"subject": "w", "observed": "gone", "expected": "there", "fault": True}
    ]
    (tmp_path / "environment-differs.sql").write_text(DETECTOR)
    with pytest.raises(QueryError, match="two queries named environment-differs"):
        library.load(tmp_path)


def test_unknown_query_names_the_nearest() -> None:
    with pytest.raises(QueryError) as refused:
        library.load().get("enviroment-differs")
    assert "environment-differs" in refused.value.hint


def test_environment_differs_looks_at_two_environments() -> None:
    rows = [
        row("environment", capture="r", key="mlx", value="0.30"),
        row("environment", capture="s", key="mlx", value="0.32"),
    ]
    other = [("runs", {"run": "s", "main_model": "m0"}), capture("end", "s")]
    found = ask(evidence(run(), capture("end"), other, rows), "environment-differs", "r", "s")
    assert found == [{"subject": "mlx", "observed": "0.32", "expected": "0.30", "fault": True}]
    assert ask(evidence(run(), capture("end"), other, rows[:1]), "environment-differs", "r", "s") == []


def test_capture_incomplete_says_what_and_why() -> None:
    lost = [{"what": "probes at end", "why": "the disk is full"}]
    found = ask(evidence(run(complete=False, missing=lost), capture("end")), "capture-incomplete", "r", "r")
    assert [(r["observed"], r["fault"]) for r in found] == [
        ("probes at end: the disk is full", True),
        ("complete", False),
    ]
    assert not any(r["fault"] for r in ask(evidence(run(), capture("end")), "capture-incomplete", "r", "r"))
