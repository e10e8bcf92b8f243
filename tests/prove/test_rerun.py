"""bisect --rerun: the step at which it began, in a run that was captured at its ends alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics.prove.rerun import LOOKS, between
from tests.support import command
from tests.support.command import forensics

TURNS = 13
NAN = (
    command.LOOP.replace("range(3)", "range(60)")
    .replace(".mean())", ".mean() * factor[0])")
    .replace("    mx.random.seed", "    factor = [1.0]\n    mx.random.seed")
    .replace(
        "        loss, gradients",
        f"        factor[0] = float('nan') if i == {TURNS - 1} else 1.0\n        loss, gradients",
    )
)


def test_the_steps_that_are_looked_at() -> None:
    assert between(0, 5) == [1, 2, 3, 4, 5]
    assert between(0, 1000)[-1] == 1000 and len(between(0, 1000)) == LOOKS
    assert between(125, 250)[0] > 125
    low, high, rounds = 0, 1000, 0
    while high - low > 1:
        steps = [low, *between(low, high)]
        high = next(each for each in steps if each >= 617)
        low, rounds = steps[steps.index(high) - 1], rounds + 1
    assert (low, high) == (616, 617) and rounds <= 4


@pytest.mark.long
def test_a_run_that_was_captured_at_its_ends(tmp_path: Path) -> None:
    command.write(tmp_path, NAN)
    done = forensics(tmp_path, "capture", "--name", "run", "--", "python", "train.py")
    assert not [point for point in done.points("run") if point.startswith("step-")], done.err
    before = sorted(path.name for path in (tmp_path / ".forensics" / "captures").iterdir())
    found = forensics(tmp_path, "bisect", "run", "--when", "weights-not-finite", "--rerun", "--json")
    assert found.status == 0, found.err
    document = json.loads(found.out)
    assert (document["before"], document["after"]) == (f"run@step-{TURNS - 1}", f"run@step-{TURNS}")
    assert sorted(path.name for path in (tmp_path / ".forensics" / "captures").iterdir()) == before
    never = forensics(tmp_path, "bisect", "run", "--when", "SELECT 1 WHERE false", "--rerun")
    assert never.status == 1 and "it holds at none of" in never.out
