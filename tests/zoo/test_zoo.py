"""The tool on every program of the zoo.

It names the fault, the right cause first, and is silent on the healthy twin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Golden
from tests.support import claims
from tests.zoo import zoo
from tests.zoo.conftest import Diagnosed
from tests.zoo.table import PROPERTY, Told

Record = Callable[[str, object], None]

CASES = list(zoo.cases())
BROKEN = [case for case in CASES if case.faults]
# a healthy variation varies the program by its swaps; of the cases of one program on one model, one healthy
# twin stands for all
HEALTHY = [case for case in CASES if not case.faults]


def twins() -> list[zoo.Case]:
    """One case for each healthy program, model and way of capture.

    It must have evaluated what any of them must.
    """
    merged: dict[str, zoo.Case] = {}
    for case in BROKEN:
        key = repr((case.program, case.model, case.capture, case.also))
        wanted = case.faults if case.evaluated is None else case.evaluated
        before = merged.get(key)
        merged[key] = zoo.Case(
            name=before.name if before else f"{case.program}-{len(merged)}",
            program=case.program,
            faults=("-",),
            evaluated=tuple(dict.fromkeys([*((before and before.evaluated) or ()), *wanted])),
            model=case.model,
            capture=case.capture,
            also=case.also,
        )
    return list(merged.values())


def sampled(cases: list[zoo.Case]) -> list[object]:
    """One in a hundred and fifty runs by default, the rest with the whole zoo."""
    return [
        pytest.param(case, id=case.name, marks=[] if number % 150 == 0 else [pytest.mark.zoo])
        for number, case in enumerate(cases)
    ]


def held_to_the_word(case: zoo.Case, document: dict[str, Any], golden: Golden) -> None:
    """What detectors say of a case that their headers name is what was recorded."""
    source = f"zoo/{case.name}"
    if source in claims.named("fires on"):
        text, path = claims.text(source, document), claims.path(source)
        if not (path.exists() and claims.alike(text, path.read_text(encoding="utf-8"))):
            golden(str(path), text)  # shows the difference, or writes it


def test_every_swap_fits_its_program() -> None:
    """What a swap replaces stands in the program exactly once, also after a formatter went over it."""
    for case in CASES:
        for swap in case.swaps:
            name, old, _ = swap if len(swap) == 3 else ("train.py", *swap)
            assert (zoo.PROGRAMS / case.program / name).read_text().count(old) == 1, (case.name, old)


@pytest.mark.parametrize("case", sampled(BROKEN))
def test_the_right_cause_stands_first(
    case: zoo.Case, diagnosed: Diagnosed, record_property: Record, golden: Golden
) -> None:
    _, document = diagnosed(case, broken=True)
    told = zoo.judged(case, document, broken=True)
    record_property(PROPERTY, Told.of("broken", case, told).text())
    found = [(finding["id"], finding["role"], finding["claim"]) for finding in document["findings"]]
    assert told.first, found
    assert not told.missed, found
    assert len(told.noise) <= 1, found
    held_to_the_word(case, document, golden)


@pytest.mark.parametrize("case", sampled(twins()))
def test_the_healthy_twin_is_silent(case: zoo.Case, diagnosed: Diagnosed, record_property: Record) -> None:
    _, document = diagnosed(case, broken=False)
    told = zoo.judged(case, document, broken=False)
    record_property(PROPERTY, Told.of("twin", case, told).text())
    assert not told.noise, document["findings"]
    assert not told.silent, document["not_evaluated"]


@pytest.mark.parametrize("case", sampled(HEALTHY))
def test_a_healthy_variation_raises_no_alarm(
    case: zoo.Case, diagnosed: Diagnosed, record_property: Record, golden: Golden
) -> None:
    _, document = diagnosed(case, broken=True)
    told = zoo.judged(case, document, broken=False)
    record_property(PROPERTY, Told.of("variation", case, told).text())
    assert not told.noise, document["findings"]
    assert not told.silent, document["not_evaluated"]
    held_to_the_word(case, document, golden)
