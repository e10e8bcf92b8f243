"""Where the value of the loss steers the run, a cure at the logits proves nothing, and says at which line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics.prove.agreement import steering
from forensics.prove.outcome import UNHARMED
from forensics.prove.repeat import Repeat
from tests.support import command
from tests.support.command import forensics

TURNED = command.LOOP.replace("lambda m: nn", "lambda m: -nn").replace("range(3)", "range(6)")
EARLY = TURNED.replace("for i in", "best = 1e9\n    for i in").replace(
    "        print(i,",
    "        value = {read}\n        if value > best:\n            break\n        best = value\n"
    "        print(i,",
)
LINE = next(n for n, line in enumerate(EARLY.strip("\n").splitlines(), 1) if "if value > best" in line)


@pytest.mark.parametrize(
    ("read", "line"),
    [
        ("loss.item()", f"decides at train.py:{LINE + 1}: true in 0 of 6"),
        pytest.param("loss * 2", f"decides at train.py:{LINE + 1}: true in 0 of 6", marks=pytest.mark.long),
        ("float(loss)", "ends its updates after update 6, cured after 2"),
    ],
)
def test_an_early_stop(tmp_path: Path, read: str, line: str) -> None:
    """The loss with its sign turned falls for ever; with the gradient put right it rises and ends the run."""
    command.write(tmp_path, EARLY.replace("{read}", read))
    done = forensics(tmp_path, "capture", "--name", "run", "--", "python", "train.py")
    assert done.store.holds("run"), done.err
    proved = forensics(tmp_path, "prove", "run", "loss-sign-flipped", "--repeats", "1", "--json")
    cure = json.loads(proved.out)["cures"][0]
    assert cure["outcome"] == "impossible"
    assert line in cure["why"], cure["why"]
    assert proved.status == 1


@pytest.mark.long
def test_a_loss_that_decides_nothing(tmp_path: Path) -> None:
    """A guard that never holds, a mean over losses, and JSON of them: the run is cured as any other."""
    text = TURNED.replace("import sys\n", "import sys, json\n").replace(
        "        print(i,",
        "        assert loss.item() < 1e9\n        losses.append(loss.item())\n"
        "        json.dumps(sum(losses) / len(losses))\n        print(i,",
    )
    command.write(tmp_path, text.replace("for i in", "losses = []\n    for i in"))
    assert forensics(tmp_path, "capture", "--name", "run", "--", "python", "train.py").store.holds("run")
    proved = forensics(tmp_path, "prove", "run", "loss-sign-flipped", "--repeats", "1", "--json")
    cure = json.loads(proved.out)["cures"][0]
    assert cure["did"] and cure["why"] == UNHARMED, "the loss steers nothing, and no harm is there to go"


def test_saves_that_come_after_other_updates() -> None:
    def repeat(*steps: int) -> Repeat:
        rows = [{"kind": "save", "place": "train.py:9", "outcome": None, "step": step} for step in steps]
        return Repeat(0, 1.0, decisions=rows)

    assert steering(repeat(2, 4), repeat(2, 4)) is None
    why = steering(repeat(2, 4), repeat(2))
    assert why is not None and why.startswith("train.py:9 saves after update 2, 4, cured after 2")


def test_saves_that_another_cure_brings_say_nothing_of_the_loss() -> None:
    saved = [{"kind": "save", "place": "train.py:9", "step": 2, "outcome": None}]
    was, now = Repeat(0, 1.0), Repeat(0, 1.0, decisions=saved)
    assert steering(was, now) is not None and steering(was, now, alone=False) is None
