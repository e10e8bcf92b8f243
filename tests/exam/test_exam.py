"""Fresh programs each time.

Nothing breaks, no faulty one is called healthy beyond the bar, names do not matter.
"""

from __future__ import annotations

import os
import random
import re
from dataclasses import replace

import pytest

from tests.exam import draw, grammar, run, table
from tests.exam.__main__ import one_line, record
from tests.exam.operators.measured import READ

COUNT = 60
LIMIT = 11 * 60  # seconds
# What held when this was written, of both halves together: docs/accuracy.md. The aim is 0.95, 0 and 0.01;
# these bars fail where a fresh sample shows, beyond chance, that the tool got worse.
FIRST_CAUSE = 0.75
CALLED_HEALTHY = 0.12
ACCUSED = 0.04


def _seed() -> int:
    """A fresh one, which is printed, or that of EXAM_SEED, by which CI says the same of the same state."""
    return int(os.environ.get("EXAM_SEED") or random.SystemRandom().randrange(10**6))


@pytest.mark.exam
@pytest.mark.timeout(900)
def test_fresh_programs(capsys: pytest.CaptureFixture[str]) -> None:
    seed = _seed()
    run.prepare()
    results = list(run.sample(seed, COUNT, None, 2, LIMIT))
    numbers = table.summary([record(result) for result in results])
    with capsys.disabled():
        print(f"\nexam: uv run python -m tests.exam --seed {seed} --draw {COUNT}\n{table.shown(numbers)}")
        for result in results:
            if result.missed:
                print(one_line(result))
    assert numbers["faulty"] >= 10, "too few programs to say anything"
    assert not numbers["crashed"], "the tool broke"
    _, high = table.interval(numbers["first_cause"], numbers["faulty"])
    assert high >= FIRST_CAUSE, "the first cause is missed too often"
    low, _ = table.interval(numbers["called_healthy"], numbers["faulty"])
    assert low <= CALLED_HEALTHY, "faulty programs are called healthy"
    low, _ = table.interval(numbers["accused"], numbers["healthy"])
    assert low <= ACCUSED, "sound programs are accused"


@pytest.mark.exam
@pytest.mark.timeout(600)
def test_names_do_not_matter() -> None:
    """The same draw under words that mean nothing gives the same verdict and findings."""
    run.prepare()
    seed = _seed()
    compared = 0
    for number in range(12):
        each = draw.one(seed, number)
        plainly = run.examine(each)
        if plainly.thrown or plainly.error:
            continue
        strange = run.examine(
            replace(each, program=replace(each.program, names=-each.program.names)), proof=False
        )
        assert (plainly.verdict, sorted(plainly.names)) == (strange.verdict, sorted(strange.names)), (
            f"{each.seed}: {each.expected}"
        )
        compared += 1
        if compared == 3:
            return
    raise AssertionError(f"no valid draws in seed {seed}")


def test_drawing_follows_from_the_seed() -> None:
    one, two = draw.one(3, 4), draw.one(3, 4)
    assert grammar.render(one.program) == grammar.render(two.program)
    assert grammar.render(one.program) != grammar.render(draw.one(4, 4).program)


def test_programs_compile_and_hide_their_probes() -> None:
    for number in range(30):
        each = draw.one(11, number)
        for program in (each.program, each.twin):
            text = grammar.render(program)["train.py"]
            compile(text, "train.py", "exec")
            compile(grammar.render(program, plain=True)["train.py"], "train.py", "exec")
            assert not re.search(r"#:|(?m:^\s*plain\.)|\bx_|\bS\.", text)


def test_every_operator_fits_somewhere() -> None:
    fitted = set()
    for number in range(600):
        program = draw.compose(random.Random(number), half=None, habits=False)
        if program is not None:
            fitted |= {
                each.name
                for each in draw.operators()
                if each.fits(program) and each.edit(program) is not None
            }
    assert {each.name for each in draw.operators()} - fitted == set()


def test_halves_share_no_operator_and_what_was_read_is_known() -> None:
    names = [each.name for each in draw.operators()]
    assert len(names) == len(set(names))
    halves = {each.name: each.half for each in draw.operators()}
    assert {halves[name] for name in READ} <= {"known"}
    assert {"known", "measured"} == set(halves.values())


def test_interval() -> None:
    assert table.interval(0, 0) == (0.0, 1.0)
    low, high = table.interval(57, 60)
    assert 0.86 < low < 0.87 and 0.98 < high < 0.99
