"""diagnose, diff and query as users type them, over small sealed runs: statuses, documents, messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from forensics.cli import main
from forensics.schema import tables
from forensics.store.capture import Writer
from tests.support.evidence import Made, capture, loss_token, parameter, run, step

NAME = "model.layers.0.mlp.up_proj.weight"
HEALTHY = [
    *run(), capture("loaded"), capture("start"), capture("end"),
    *parameter("loaded", NAME, "d0"), *parameter("start", NAME, "d0", trainable=True),
    *parameter("end", NAME, "d1"),
    (
        "events",
        {"run": "r", "sequence": 0, "kind": "update", "model": "m0", "detail": "{}",
         "process": 0, "time": 0.0},
    ),
    *(loss_token(1, n, 0.25, role="end" if n == 3 else "answer") for n in range(4)),
    *(step(n, loss=3.0 / n) for n in range(1, 9)),
]  # fmt: skip
RULE = """-- A loss is above what we agreed on.
--
-- severity: {severity}
-- role: cause
-- confidence: certain
-- needs: steps
-- params: a, b, most = 2
-- claim: The loss of step {{subject}} is {{observed}}.
-- fix: train more
SELECT CAST(step AS VARCHAR) AS subject, CAST(loss AS VARCHAR) AS observed, CAST(most AS VARCHAR) AS expected,
    loss > most AS fault
FROM steps WHERE run = run_of(b) ORDER BY step
"""


def seal(store: Path, name: str, made: list[Made]) -> None:
    """A run of hand-made rows in a store, as a capture leaves it."""
    text = (
        json.dumps([[table, row] for table, row in made])
        .replace('"r@', f'"{name}@')
        .replace('"run": "r"', f'"run": "{name}"')
    )
    rows: list[Made] = [(table, row) for table, row in json.loads(text)]
    captures = [row for table, row in rows if table == "captures"]
    for number, head in enumerate(captures):
        with Writer(store / "captures", head["capture"], "capture") as writer:
            for table in {t for t, _ in rows} - {"captures", "runs"}:
                mine = [row for t, row in rows if t == table and row.get("capture") == head["capture"]]
                digests = {
                    row["digest"]
                    for t, row in rows
                    if t == "placements" and row["capture"] == head["capture"]
                }
                writer.rows(
                    table,
                    (
                        [row for t, row in rows if t == "tensors" and row["digest"] in digests]
                        if table == "tensors"
                        else mine
                    ),
                )
            writer.seal({**head, "sequence": number})
    with Writer(store / "runs", name, "run") as writer:
        for table in {t for t, _ in rows} - {"captures", "runs", "tensors"}:
            writer.rows(table, [row for t, row in rows if t == table and "capture" not in tables()[table]])
        writer.seal(next(row for table, row in rows if table == "runs"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("store")
    seal(place, "night", HEALTHY)
    seal(place, "day", [m for m in HEALTHY if m[1].get("point") != "end" and m[1].get("capture") != "r@end"])
    seal(
        place,
        "bare",
        [("runs", {"run": "r", "kind": "watched", "complete": True, "created_at": "2020-01-01T00:00:00Z"})],
    )
    return place


@pytest.fixture
def rules(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    (tmp_path / "loss-above-agreement.sql").write_text(
        RULE.format(severity=getattr(request, "param", "error"))
    )
    return tmp_path


def ask(store: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--store", str(store)])


def document(result: Result) -> dict[str, Any]:
    return dict(json.loads(result.stdout))


def test_healthy_run(store: Path) -> None:
    result = ask(store, "diagnose", "night", "--json")
    said = document(result)
    assert (said["a"], said["b"], said["verdict"], result.exit_code) == (
        "night@loaded",
        "night@end",
        "healthy",
        0,
    ), said["findings"]
    assert ask(store, "diagnose", "night").stdout.startswith("HEALTHY")


@pytest.mark.parametrize(
    ("rules", "fail_on", "status", "verdict"),
    [
        ("error", "warning", 1, "faulty"),
        ("warning", "error", 0, "suspect"),
        ("info", "warning", 0, "healthy"),
        ("info", "info", 1, "healthy"),
    ],
    indirect=["rules"],
)
def test_fail_on(store: Path, rules: Path, fail_on: str, status: int, verdict: str) -> None:
    result = ask(store, "diagnose", "night", "--json", "--queries", str(rules), "--fail-on", fail_on)
    assert (result.exit_code, document(result)["verdict"]) == (status, verdict)
    finding = next(f for f in document(result)["findings"] if f["id"] == "loss-above-agreement")
    assert (
        finding["claim"] == "The loss of step 1 is 3.0."
        and finding["check"] == "forensics query loss-above-agreement night"
    )


def test_run_that_never_ended_is_inconclusive(store: Path) -> None:
    result = ask(store, "diagnose", "day")
    assert result.exit_code == 4, result.stdout
    assert result.stdout.startswith("INCONCLUSIVE") and "after the last update" in result.stdout


def test_run_that_never_used_a_model(store: Path) -> None:
    result = ask(store, "diagnose", "bare", "--json")
    assert (result.exit_code, document(result)["verdict"]) == (4, "inconclusive")
    assert "never used a model" in document(result)["notes"][0]


def test_two_runs(store: Path, rules: Path) -> None:
    result = ask(store, "diagnose", "day", "night", "--json")
    said = document(result)
    assert (result.exit_code, said["a"], said["b"], said["verdict"]) == (0, "day", "night", "healthy")
    assert [r["verdict"] for r in said["runs"]] == ["inconclusive", "healthy"]
    assert ask(store, "diagnose", "day", "night", "--queries", str(rules)).exit_code == 1


def test_unknown_run_names_the_nearest(store: Path) -> None:
    result = ask(store, "diagnose", "nigth")
    assert result.exit_code == 2 and "night" in result.stderr and result.stdout == ""


def test_private_query_that_breaks_the_rules(store: Path, rules: Path) -> None:
    (rules / "loss-above-agreement.sql").write_text(
        RULE.format(severity="error").replace(" ORDER BY step", "")
    )
    result = ask(store, "diagnose", "night", "--queries", str(rules))
    assert (
        result.exit_code == 2
        and "no ORDER BY" in result.stderr
        and "loss-above-agreement.sql" in result.stderr
    )


def test_diff(store: Path) -> None:
    result = ask(store, "diff", "night", "--json")
    assert result.exit_code == 1 and document(result)["parameters"]["changed"] == 1
    assert document(result)["changed"][0]["relative"] is None, "its bytes are not there"
    assert ask(store, "diff", "night@loaded", "night@start").exit_code == 0
    assert ask(store, "diff", "night").stdout.startswith("DIFFERS")


def test_diff_of_a_run_without_captures_says_that_nothing_was_compared(store: Path) -> None:
    result = ask(store, "diff", "bare", "--json")
    assert (result.exit_code, document(result)["same"]) == (4, None)
    assert ask(store, "diff", "bare").stdout.startswith("INCONCLUSIVE  nothing to compare")


def test_diff_asks_for_the_second_model(store: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    for word in (str(tmp_path), "night@loaded"):
        result = ask(store, "diff", word)
        assert (
            result.exit_code == 2
            and "second model" in result.stderr
            and f"diff {word} OTHER" in result.stderr
        ), result.output


def test_query_catalogue(store: Path, rules: Path) -> None:
    shown = ask(store, "query", "--queries", str(rules)).stdout
    assert "loss-by-role" in shown and "loss-above-agreement" in shown
    queries = document(ask(store, "query", "--json"))["queries"]
    assert {"name", "kind", "title", "macro"} <= queries[0].keys()


def test_query_of_a_run_and_of_two_captures(store: Path) -> None:
    rows = document(ask(store, "query", "training-steps", "night", "--json"))["rows"]
    assert [row["loss"] for row in rows][:2] == [3.0, 1.5]
    rows = document(ask(store, "query", "parameter-diff", "night@loaded", "night@end", "--json"))["rows"]
    assert [(row["name"], row["identical"]) for row in rows] == [(NAME, False)]
    assert (
        ask(store, "query", "training-steps", "night", "--csv")
        .stdout.splitlines()[0]
        .startswith("model,step,")
    )


@pytest.mark.long
def test_query_says_which_capture_it_asked_and_why_there_is_no_row(store: Path) -> None:
    one, two = ask(store, "query", "training-steps", "night"), ask(store, "query", "parameter-diff", "night")
    assert (
        one.stderr == "forensics: asked of night@end\n"
        and two.stderr == "forensics: asked of night@loaded and night@end\n"
    )
    assert ask(store, "query", "training-steps", "night", "--json").stderr == ""
    whys = {
        ("loss-by-role", "snapshots/base"): "no rows: a model at rest was not trained",
        ("saved-files", "snapshots/base"): "no rows: a model at rest was not trained",
        ("observed-generations", "night"): "no rows: the program generated nothing",
        ("fused-twice", "night"): "no rows: not evaluated: nothing was fused",
        ("training-events", "bare"): "asked of bare, which holds no capture",
    }
    for words, reason in whys.items():
        result = ask(store, "query", *words)
        assert reason in result.stderr and "no rows" in result.stdout, result.output
    assert "no rows" not in ask(store, "query", "configs-diff", "night").stderr, (
        "nothing differs, and that is the answer"
    )


def test_query_answers_in_one_form(store: Path) -> None:
    for words in (["query", "--csv"], ["query", "training-steps", "night", "--csv", "--json"]):
        refused = ask(store, *words)
        assert refused.exit_code == 2 and "--csv" in refused.stderr and refused.stdout == ""


def test_csv_of_what_the_terminal_cannot_bear_is_escaped(store: Path, tmp_path: Path) -> None:
    (tmp_path / "word.sql").write_text("-- A word.\n--\n-- params: a\nSELECT 'é' AS word ORDER BY 1\n")
    command = [
        sys.executable,
        "-m",
        "forensics",
        "query",
        "word",
        "night",
        "--csv",
        "--store",
        str(store),
        "--queries",
        str(tmp_path),
    ]
    shown = subprocess.run(
        command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, check=True
    )
    assert shown.stdout.decode("ascii").splitlines() == ["word", "\\xe9"]


@pytest.mark.long
def test_query_with_a_number_of_the_users(store: Path, rules: Path) -> None:
    words = ["query", "loss-above-agreement", "night", "--json", "--queries", str(rules)]
    assert sum(row["fault"] for row in document(ask(store, *words))["rows"]) == 1
    assert sum(row["fault"] for row in document(ask(store, *words, "--set", "most=0.5"))["rows"]) == 5
    for setting in ("most=x", "least=1", "most=1) ; DROP TABLE runs; --"):
        assert ask(store, *words, "--set", setting).exit_code == 2


def test_unknown_query_names_the_nearest(store: Path) -> None:
    result = ask(store, "query", "loss-by-rule", "night")
    assert result.exit_code == 2 and "loss-by-role" in result.stderr


def test_help_has_examples() -> None:
    for name in ("diagnose", "diff", "query"):
        assert "Examples:" in CliRunner().invoke(main, [name, "--help"]).stdout


@pytest.mark.long
def test_a_terminal_without_unicode_shows_what_it_can() -> None:
    for encoding in ("ascii", "latin-1"):
        shown = subprocess.run(
            [sys.executable, "-m", "forensics", "diagnose", "snapshots/padded-lora"],
            capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding}, check=False,
        )  # fmt: skip
        assert (
            shown.returncode == 1
            and "Padding carries 88 %" in shown.stdout.decode(encoding)
            and not shown.stderr
        )
        assert encoding != "ascii" or shown.stdout.isascii()
