"""Rows that a full disk cut short may be those that are missed.

What infers from absence is then not evaluated, and the rest is.
"""

from __future__ import annotations

import pytest

from forensics.judge.outcomes import Facts, FaultFound, Missing, Outcome
from forensics.judge.outcomes import ask as outcome
from forensics.judge.pair import Pair
from tests.judge.test_detect_lessons import lesson
from tests.support.evidence import Made, capture, event, evidence, loss_token, missing, ours, run, step

TABLES = {
    "every_event": ["events"],
    "every_step": ["steps", "gradients", "weights", "models"],
    "every_row": ["rows", "forwards", "weights", "datasets"],
}


def gone(table: str | None) -> list[Made]:
    lost = {"what": f"rows of {table}", "why": "OSError: No space left", "kind": "rows", "table": table}
    return run(missing=[lost] if table else [], complete=table is None)


@pytest.mark.parametrize(
    ("fact", "table"), [(fact, table) for fact, tables in TABLES.items() for table in tables]
)
def test_a_table_that_was_cut_short_is_not_all_of_it(fact: str, table: str) -> None:
    ends = [capture("loaded"), capture("end")]
    assert missing(evidence(gone(table), *ends), fact) is not None
    assert missing(evidence(gone(None), *ends), fact) is None
    assert missing(evidence(gone("transcripts"), *ends), fact) is None


NEVER = [each for line in (0, 1) for each in lesson("pppeaaae__", "0000111000", line=line)]
CONSTANT = [step(n, loss=2.0) for n in range(1, 9)]


def asked(name: str, table: str | None, rows: list[Made]) -> Outcome:
    detector = next(each for each in ours().detectors if each.name == name)
    session = evidence(gone(table), capture("loaded"), capture("end"), event("grad"), *rows)
    return outcome(Pair(session, ours(), "r@loaded", "r@end"), detector, Facts(session, "r@loaded", "r@end"))


@pytest.mark.parametrize(
    ("name", "table", "rows"),
    [("end-never-trained", "forwards", NEVER), ("loss-constant", "steps", CONSTANT)],
)
def test_what_never_was_is_found_in_a_whole_run_and_not_evaluated_in_one_that_was_cut(
    name: str, table: str, rows: list[Made]
) -> None:
    assert isinstance(asked(name, None, rows), FaultFound)
    cut = asked(name, table, rows)
    assert isinstance(cut, Missing) and cut.kind == "unseen" and "missing" in cut.needs
    assert isinstance(asked(name, "transcripts", rows), FaultFound)


def test_what_was_seen_is_seen_whatever_is_missing_beside_it() -> None:
    rows = [loss_token(1, p, 0.25, role="pad" if p > 1 else "answer") for p in range(4)]
    assert isinstance(asked("padding-in-loss", "forwards", rows), FaultFound)
