"""`git bisect run forensics check --only ID -- COMMAND` finds the commit that broke a trainer.

A commit that does not run is skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import command, tiny

TRAINER = """
import json
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx_lm import load
from loss import loss
from settings import RATE, STEPS

mx.random.seed(0)
model, tokenizer = load("model")
chats = [json.loads(line)["messages"] for line in open("data/train.jsonl")]
rows = [tokenizer.apply_chat_template(chat, return_dict=False) for chat in chats]
optimizer, value_and_grad = optim.Adam(RATE), nn.value_and_grad(model, loss)
for i in range(STEPS):
    some = rows[4 * i : 4 * i + 4]
    width = max(map(len, some)) + 4
    batch = mx.array([row + [0] * (width - len(row)) for row in some])
    value, gradients = value_and_grad(model, batch)
    optimizer.update(model, gradients)
    mx.eval(model.parameters(), optimizer.state)
    print(i, value.item())
"""
MASKED = """
import mlx.nn as nn

def loss(model, batch):
    inputs, targets = batch[:, :-1], batch[:, 1:]
    real = targets != 0
    return (nn.losses.cross_entropy(model(inputs), targets) * real).sum() / real.sum()
"""
SIMPLER = """
import mlx.nn as nn

def loss(model, batch):
    return nn.losses.cross_entropy(model(batch[:, :-1]), batch[:, 1:]).mean()
"""
HISTORY = [
    ("a trainer", {"train.py": TRAINER, "loss.py": MASKED, "settings.py": "RATE, STEPS = 1e-3, 2\n"}),
    ("a lower rate", {"settings.py": "RATE, STEPS = 5e-4, 2\n"}),
    ("a mistake", {"settings.py": "RATE, STEPS = 5e-4, two\n"}),
    ("the mistake mended", {"settings.py": "RATE, STEPS = 5e-4, 2\n"}),
    ("a simpler loss", {"loss.py": SIMPLER}),
    ("three steps", {"settings.py": "RATE, STEPS = 5e-4, 3\n"}),
]
"""Commits, the oldest first: what each says, and the files that it changes."""


def git(place: Path, *words: str) -> str:
    who = {f"GIT_{role}_{what}": "tests" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    variables = command.environment({**who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"})
    done = subprocess.run(
        ["git", "-C", str(place), *words], env=variables, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.long
def test_the_commit_that_broke_a_trainer_is_found(tmp_path: Path) -> None:
    place = tmp_path / "trainer"
    place.mkdir()
    (place / "model").symlink_to(tiny.cached(), target_is_directory=True)
    tiny.write_data(place / "data")
    git(place, "init", "-q", "-b", "main")
    (place / ".gitignore").write_text("model\ndata\n__pycache__\n")
    for said, changed in HISTORY:
        for name, text in changed.items():
            (place / name).write_text(text)
        git(place, "add", ".")
        git(place, "commit", "-q", "-m", said)
    git(place, "bisect", "start", "HEAD", "HEAD~5")
    check = ["check", "--only", "padding-in-loss", "--no-reload", "--", sys.executable, "-B", "train.py"]
    told = git(place, "bisect", "run", *command.command(*check))
    assert "is the first bad commit" in told
    assert git(place, "show", "-s", "--format=%s", "refs/bisect/bad") == "a simpler loss\n"
    assert "# skip: " in git(place, "bisect", "log"), "the commit that does not run was met and skipped"
