"""Queries that a newcomer can change: short, and with no number that nobody gave a reason for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forensics.judge import library
from forensics.store.session import from_rows
from forensics.watch.protocol import RESIDUAL_MOST

OURS = library.load()
SHARED = [*OURS.detectors, *OURS.tables.values()]
TESTS = "".join(path.read_text() for path in (Path(__file__).parents[1] / "judge").glob("test_*.py"))
LINES, SELECTS = 70, 12  # some 60: the formatter spreads a CASE over many

_NUMBER = re.compile(r"(?<![\w.$])(?:\d+\.?\d*(?:e-?\d+)?|\.\d+)(?!\w)")
_STRUCTURE = re.compile(
    r"\[[^\[\]]*\]"  # an index or a slice of a list
    r"|\b(?:round|substr|pow)\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*), \d+(?:\.0)?\)"  # digits, exponent
)


def code(text: str) -> str:
    """A SELECT without its comments and the words in quotes."""
    return re.sub(r"'(?:[^']|'')*'", "''", re.sub(r"--[^\n]*", "", text))


def size(text: str) -> tuple[int, int]:
    """Lines without blanks and comments, and SELECTs."""
    left = code(text)
    return sum(bool(line.strip()) for line in left.splitlines()), len(re.findall(r"\bselect\b", left))


def bare(text: str) -> list[str]:
    """Numbers other than 0 and 1 that are no index, no exponent and no count of digits."""
    left, before = code(text), ""
    while left != before:
        left, before = _STRUCTURE.sub(lambda m: m[1] or "", left), left
    return [number for number in _NUMBER.findall(left) if float(number) not in (0, 1)]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("select x[2], y[2:-1], round(x, 3), pow(f(a, g(b)), 2), 'of 12' -- 7", []),
        ("select 0.5 * x, 1e-5, x1, $2, 1.0, round(100 * x, 2)", ["0.5", "1e-5", "100"]),
        ("select case when n > 2 then .5 end", ["2", ".5"]),
    ],
)
def test_bare_numbers_are_seen(text: str, numbers: list[str]) -> None:
    assert bare(text) == numbers


@pytest.mark.parametrize("query", SHARED, ids=lambda query: query.name)
def test_every_number_is_a_parameter(query: library.Query) -> None:
    assert bare(query.body) == []


@pytest.mark.parametrize(
    "query", [q for q in SHARED if any(p.default for p in q.params)], ids=lambda query: query.name
)
def test_every_number_has_its_reason(query: library.Query) -> None:
    assert [p.name for p in query.params if p.default is not None and not query.reasons.get(p.name)] == []


@pytest.mark.parametrize("query", SHARED, ids=lambda query: query.name)
def test_long_queries_say_why(query: library.Query) -> None:
    lines, selects = size(query.body)
    long = lines > LINES or selects > SELECTS
    assert bool(query.header.get("long")) == long, (lines, selects)


@pytest.mark.parametrize("detector", OURS.detectors, ids=lambda detector: detector.name)
def test_detectors_say_what_clean_means_and_are_seen_to_fire(detector: library.Detector) -> None:
    assert detector.text("clean"), "other findings quote it under `ruled out`"
    assert detector.names("fires on") or f'"{detector.name}"' in TESTS, "nothing shows that it can fire"


def test_the_program_reads_targets_as_queries_do() -> None:
    session = from_rows({})
    OURS.install_shared(session)
    row = session.rows(
        "SELECT is_cross_entropy(?) AS at_most, is_cross_entropy(?) AS above",
        [RESIDUAL_MOST, RESIDUAL_MOST + 1e-9],
    )[0]
    assert row == {"at_most": True, "above": False}
