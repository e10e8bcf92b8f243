"""The same verdicts under other circumstances: a sample of the zoo, each case under one way of `varied`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.zoo import varied, zoo

SAMPLE = [case for case in zoo.cases() if case.faults][5::8]
CASES = [(varied.WAYS[number % len(varied.WAYS)], case) for number, case in enumerate(SAMPLE)]


@pytest.mark.again
@pytest.mark.parametrize(
    ("way", "case"), CASES, ids=lambda each: each.name if isinstance(each, zoo.Case) else each
)
def test_the_right_cause_stands_first_all_the_same(way: str, case: zoo.Case, tmp_path: Path) -> None:
    changed = varied.varied(case, way)
    if not varied.survives(changed, tmp_path / "plain"):
        pytest.skip("the fault does not survive the change")
    told = zoo.judged(changed, zoo.diagnosed(changed, tmp_path / "work", broken=True), broken=True)
    assert told.first and not told.missed and len(told.noise) <= 1, told
