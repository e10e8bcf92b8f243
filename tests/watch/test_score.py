"""Scorers of the user's own, run in a child of the program's interpreter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forensics.capture import command

SCORERS = """
import math
from fractions import Fraction

def length(prompt, output):
    return len(output)

def named(prompt, output, *, reference=None):
    return {"right": output == reference, "share": Fraction(1, 4)}

def third(prompt, output, expected):
    return 1.0 if expected else float("nan")

def any_of(*words):
    return len(words)

def fails(prompt, output):
    if output == "b":
        raise RuntimeError("no\\nscore")
    return math.inf

def text(prompt, output):
    return "good"

def leaves(prompt, output):
    raise SystemExit(3)

class Judge:
    @staticmethod
    def points(prompt, output):
        print("noise")
        return True
"""
ROWS = [
    {"capture": "r@end", "prompt_id": "p0", "prompt": "?", "output": "a", "reference": "a"},
    {"capture": "r@end", "prompt_id": "p1", "prompt": "?", "output": "b"},
]


def score(directory: Path, *names: str) -> list[dict[str, Any]]:
    (directory / "mine.py").write_text(SCORERS)
    (directory / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    out = directory / "out" / "scores.jsonl"
    out.parent.mkdir(exist_ok=True)
    assert (
        command.helper(
            "score.py", [str(directory / "rows.jsonl"), str(out), *names], python=None, cwd=str(directory)
        )
        is None
    )
    return [json.loads(line) for line in out.read_text().splitlines()]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("mine:length", [("", 1.0), ("", 1.0)]),
        ("mine:named", [("right", 1.0), ("share", 0.25), ("right", 0.0), ("share", 0.25)]),
        ("mine:third", [("", 1.0), ("", "NaN")]),
        ("mine:any_of", [("", 3.0), ("", 3.0)]),
        ("mine:Judge.points", [("", 1.0), ("", 1.0)]),
    ],
)
def test_a_scorer_gives_numbers(tmp_path: Path, name: str, values: list[tuple[str, Any]]) -> None:
    rows = score(tmp_path, name)
    assert [(row["key"], row["value"]) for row in rows] == values
    assert all(row["error"] is None and row["scorer"] == name and row["capture"] == "r@end" for row in rows)


def test_what_fails_is_told_row_by_row(tmp_path: Path) -> None:
    first, second = score(tmp_path, "mine:fails")
    assert (first["value"], first["error"]) == ("Infinity", None)
    assert (second["prompt_id"], second["value"], second["error"]) == ("p1", None, "RuntimeError: no score")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("absent:score", "No module named 'absent'"),
        ("mine:absent", "has no attribute 'absent'"),
        ("mine", "is not module:function"),
        ("mine:math", "is not a function"),
        ("mine:text", "a score is a number or a mapping of numbers, not str"),
        ("mine:leaves", "SystemExit: 3"),
    ],
)
def test_a_scorer_that_cannot_be_used_leaves_one_error_a_row(tmp_path: Path, name: str, error: str) -> None:
    rows = score(tmp_path, name, "mine:length")
    broken, fine = rows[:2], rows[2:]
    assert [row["prompt_id"] for row in broken] == ["p0", "p1"]
    assert all(row["value"] is None and error in row["error"] for row in broken)
    assert [row["value"] for row in fine] == [1.0, 1.0]


def test_a_scorer_may_be_called_as_our_own_files_are(tmp_path: Path) -> None:
    (tmp_path / "cache.py").write_text("def score(prompt, output):\n    return 7\n")
    assert [row["value"] for row in score(tmp_path, "cache:score")] == [7.0, 7.0]
