"""What proofs are counted on: broken programs of the zoo, and draws of the exam, each with a healthy twin."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.exam import draw, run
from tests.exam.grammar import Program
from tests.support import tiny
from tests.zoo import zoo


@dataclass(frozen=True)
class Subject:
    """A broken program.

    Args:
        faults: ids that name its cause, the first the one that is to be proved; others are as true.
        causes: how many of these are faults of their own, each of which may be what makes the harm.
        twin: equal for subjects with the same healthy program.
        capture: captures the broken or the healthy program as `run` in a directory, which it makes.
        thrown: why it is no question, None where it is one; given a directory of its own.
    """

    name: str
    faults: tuple[str, ...]
    twin: str
    capture: Callable[[Path, bool], object]
    thrown: Callable[[Path], str | None] = lambda _: None
    causes: int = 1


def of_zoo(seed: int) -> Iterator[Subject]:
    """Every broken program, in an order that the seed gives: a count that ends early is of a fair sample."""
    found = [case for case in zoo.cases() if case.faults]
    random.Random(seed).shuffle(found)
    for case in found:
        twin = repr((case.program, case.model, case.capture, case.also))
        yield Subject(case.name, (*case.faults, *case.allowed), twin, _of_case(case), causes=len(case.faults))


def _of_case(case: zoo.Case) -> Callable[[Path, bool], object]:
    def capture(directory: Path, broken: bool) -> object:
        tiny.cached(**case.model)
        return zoo.captured(case, directory, broken=broken)

    return capture


def of_exam(seed: int) -> Iterator[Subject]:
    """Draws of the exam with one fault, without end; those that the exam throws away say so."""
    number = 0
    while True:
        drawn = draw.one(seed, number)
        number += 1
        if len(drawn.operators) == 1:
            operator = drawn.operators[0]
            yield Subject(
                f"{drawn.seed} {operator.name}", (operator.id, *operator.also), drawn.seed, _of_draw(drawn),
                _thrown(drawn),
            )  # fmt: skip


def _thrown(drawn: draw.Draw) -> Callable[[Path], str | None]:
    def why(place: Path) -> str | None:
        try:
            return run.why_thrown(drawn, place)
        except subprocess.TimeoutExpired:
            return f"longer than {run.LIMIT} seconds without the tool"

    return why


def _of_draw(drawn: draw.Draw) -> Callable[[Path, bool], object]:
    def capture(directory: Path, broken: bool) -> object:
        program: Program = drawn.program if broken else drawn.twin
        run.write(program, directory, plain=False)
        words = [sys.executable, "-m", "forensics", "capture", "--name", "run", "--quiet", "--"]
        return subprocess.run(
            [*words, sys.executable, "train.py"], cwd=directory, env=run.environment(),
            capture_output=True, check=False, timeout=run.LIMIT, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    return capture
