"""The patch: made from the program's own names, and left out where it would be a guess."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest

from forensics.prove.patch import EDITS, patch

LOSSES = """
import mlx.nn as nn
from mlx_lm import generate, load

def loss(model, batch):
    return {loss}

model, tokenizer = load("model")
step = nn.value_and_grad(model, loss)
optimizer = AdamW(learning_rate=0.0)
print(generate(model, tokenizer, prompt="é"))
"""
FACTS: dict[str, Any] = {
    "pads": [0],
    "ends": [2],
    "rate": 0.001,
    "adapter": {"rank": 4, "scale": 10.0, "dropout": 0.0, "keys": None},
}
NAIVE = "nn.losses.cross_entropy(model(batch[:, :-1]), batch[:, 1:]).mean()"


def patched(place: Path, name: str, loss: str, facts: dict[str, Any] = FACTS) -> tuple[str, str]:
    """(the diff, the program after `patch -p1`)."""
    (place / "train.py").write_text(LOSSES.format(loss=loss))
    diff = patch(place, ["train.py", "gone.py"], [name], facts)
    if diff:
        done = subprocess.run(
            ["patch", "-p1", "-s"], cwd=place, input=diff, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stdout + diff
    return diff, (place / "train.py").read_text()


MASKED = (
    "return (nn.losses.cross_entropy(model(batch[:, :-1]), batch[:, 1:]) * (batch[:, 1:] != 0)).sum() "
    "/ (batch[:, 1:] != 0).sum()"
)
OWN = "nn.losses.cross_entropy(model(batch), batch, reduction='mean')"
SHIFTED = "return nn.losses.cross_entropy(model(batch)[:, :-1], batch[:, 1:], reduction='mean')"
TWICE = "nn.losses.cross_entropy(mx.softmax(model(batch)), batch)"
PUT_IN = 'linear_to_lora_layers(model, len(model.layers), {"rank": 4, "scale": 10.0, "dropout": 0.0})'


@pytest.mark.parametrize(
    ("name", "loss", "line"),
    [
        ("padding-in-loss", NAIVE, MASKED),
        ("loss-sign-flipped", f"-{NAIVE}", f"return {NAIVE}"),
        ("probabilities-as-logits", TWICE, "return nn.losses.cross_entropy(model(batch), batch)"),
        ("labels-not-shifted", OWN, SHIFTED),
        ("lora-missing", NAIVE, PUT_IN),
        ("dropout-in-generation", NAIVE, "model.eval()"),
        ("learning-rate-zero", NAIVE, "optimizer = AdamW(learning_rate=0.001)"),
    ],
)
def test_edits(tmp_path: Path, name: str, loss: str, line: str) -> None:
    before = LOSSES.format(loss=loss)
    diff, after = patched(tmp_path, name, loss)
    assert line in [each.strip() for each in after.splitlines()], diff
    changed = len([each for each in diff.splitlines() if each[:1] in "+-" and each[:3] not in ("+++", "---")])
    assert changed <= 3, diff
    assert diff.startswith("--- a/train.py\n+++ b/train.py\n") and after != before


def test_the_import_comes_once(tmp_path: Path) -> None:
    _, after = patched(tmp_path, "lora-missing", NAIVE)
    assert after.count("from mlx_lm.tuner.utils import linear_to_lora_layers") == 1
    assert after.index("model.freeze()") < after.index("linear_to_lora_layers(model") < after.index("step = ")


def test_the_base_frozen_before_adapters(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        textwrap.dedent("""
        def main():
            linear_to_lora_layers(self.model, 2, config)
    """)
    )
    assert "+    self.model.freeze()\n" in patch(tmp_path, ["train.py"], ["base-not-frozen"], FACTS)


@pytest.mark.parametrize("name", EDITS)
def test_nothing_is_guessed(tmp_path: Path, name: str) -> None:
    """Two places that it could mean, or none."""
    for text in (
        "x = 1\n",
        "not python (",
        f"def a(model, batch):\n    return {NAIVE}\n\ndef b(model, batch):\n    return -{NAIVE}\n",
    ):
        (tmp_path / "train.py").write_text(text)
        diff = patch(tmp_path, ["train.py"], [name], FACTS)
        assert not diff or name == "loss-sign-flipped", diff


def test_padding_that_also_ends_answers_is_no_matter_of_ids(tmp_path: Path) -> None:
    assert patched(tmp_path, "padding-in-loss", NAIVE, {**FACTS, "ends": [0]})[0] == ""
