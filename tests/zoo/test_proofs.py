"""Each fault is where its case says, and only there: by a look of the program at itself, without the tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.zoo import zoo

BROKEN = [case for case in zoo.cases() if case.faults and case.proof]


def together() -> list[list[zoo.Case]]:
    """Cases of one program on one model: their healthy program is one."""
    groups: dict[str, list[zoo.Case]] = {}
    for case in BROKEN:
        groups.setdefault(repr((case.program, case.model, case.also)), []).append(case)
    return list(groups.values())


@pytest.mark.zoo
@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_the_fault_is_in_the_broken_program(case: zoo.Case, tmp_path: Path) -> None:
    assert zoo.proved([case], tmp_path / "broken", broken=True) == [True]


@pytest.mark.zoo
@pytest.mark.parametrize("cases", together(), ids=lambda cases: f"{cases[0].program}-{cases[0].name}")
def test_no_fault_is_in_the_healthy_program(cases: list[zoo.Case], tmp_path: Path) -> None:
    try:
        found = zoo.proved(cases, tmp_path / "healthy", broken=False)
    # a proof that bends an object of the program stands in another's way: each by itself
    except AssertionError:
        found = [zoo.proved([case], tmp_path / case.name, broken=False)[0] for case in cases]
    assert [case.name for case, fault in zip(cases, found, strict=True) if fault] == []


def test_every_case_that_is_broken_has_a_proof() -> None:
    assert [case.name for case in zoo.cases() if case.faults and not case.proof] == []


def test_names_of_cases_are_unique() -> None:
    names = [case.name for case in zoo.cases()]
    assert len(set(names)) == len(names)
