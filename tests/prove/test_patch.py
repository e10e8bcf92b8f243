"""The patch: made from the program's own names, and left out where it would be a guess."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest

from forensics.prove.edits import EDITS
from forensics.prove.patch import patch
from tests.support import command

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
    "framed": True,
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
        ("update-too-large", NAIVE.replace("mean", "sum"), f"return {NAIVE}"),
        ("gradients-zero", f"mx.stop_gradient({NAIVE})", f"return {NAIVE}"),
        (
            "template-mismatch",
            NAIVE,
            "print(generate(model, tokenizer, prompt=tokenizer.apply_chat_template("
            '[{"role": "user", "content": "é"}], add_generation_prompt=True)))',
        ),
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


STEPS = """
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from functools import partial

optimizer = optim.SGD(0.1)
config = {"rank": 4, "scale": 1.0}
step = nn.value_and_grad(model, loss)
for batch in batches:
    value, grads = step(model, batch)
    MORE
"""


@pytest.mark.parametrize(
    ("name", "more", "gone", "line"),
    [
        ("optimizer-never-stepped", "mx.eval(grads)", None, "optimizer.update(model, grads)"),
        (
            "gradient-discarded",
            "grads, _ = optim.clip_grad_norm(grads, 0.0)\n    optimizer.update(model, grads)",
            "grads, _ = optim.clip_grad_norm(grads, 0.0)",
            None,
        ),
        ("lora-scale-mismatch", "pass", '"scale": 1.0}', 'config = {"rank": 4, "scale": 10.0}'),
        ("stale-compiled-function", "ask = mx.compile(model)", "mx.compile(model)", "ask = model"),
        (
            "compile-state-not-captured",
            "pass\n@partial(mx.compile, outputs=[])\ndef one():\n    pass",
            "@partial(mx.compile, outputs=[])",
            None,
        ),
    ],
)
def test_edits_of_the_loop(tmp_path: Path, name: str, more: str, gone: str | None, line: str | None) -> None:
    text = STEPS.replace("MORE", more)
    (tmp_path / "train.py").write_text(text)
    diff = patch(tmp_path, ["train.py"], [name], FACTS)
    applied(tmp_path, diff)
    after = (tmp_path / "train.py").read_text()
    assert gone is None or (gone in text and gone not in after), diff
    assert line is None or (line in after and line not in text), diff


def applied(place: Path, diff: str) -> None:
    """By `git apply`, as `patch -p1` does it elsewhere."""
    words = ["git", "-c", "safe.directory=*", "apply", "--verbose", "-"]
    done = subprocess.run(words, cwd=place, input=diff, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr + diff


YAML = """\
model: "model"
learning_rate: 0.0   # to begin with
num_layers: 0
mask_prompt: false
lora_parameters:
  keys:
    - "self_attn.query"
    - "self_attn.value"
  rank: 8
  scale: 0
"""
JSON = '{\n  "model": "model",\n  "learning_rate": 0,\n  "mask_prompt": false\n}\n'


@pytest.mark.parametrize(
    ("file", "text", "name", "gone", "line"),
    [
        (
            "lora.yaml",
            YAML,
            "learning-rate-zero",
            "learning_rate: 0.0 ",
            "learning_rate: 0.001   # to begin with",
        ),
        ("lora.yaml", YAML, "nothing-trainable", "num_layers: 0", "num_layers: 16"),
        ("lora.yaml", YAML, "prompt-in-loss", "mask_prompt: false", "mask_prompt: true"),
        ("lora.yaml", YAML, "lora-inert", "scale: 0\n", "  scale: 10.0"),
        ("lora.yaml", YAML, "lora-target-unmatched", "self_attn", "lora_parameters:\n  rank: 8"),
        ("lora.json", JSON, "learning-rate-zero", '"learning_rate": 0,', '"learning_rate": 0.001,'),
        ("lora.json", JSON, "prompt-in-loss", "false", '"mask_prompt": true\n'),
    ],
)
def test_keys_of_a_configuration(
    tmp_path: Path, file: str, text: str, name: str, gone: str, line: str
) -> None:
    import yaml

    (tmp_path / file).write_text(text)
    diff = patch(tmp_path, [file], [name], FACTS)
    applied(tmp_path, diff)
    after = (tmp_path / file).read_text()
    assert gone in text and gone not in after and line in after, diff
    before, now = yaml.safe_load(text), yaml.safe_load(after)
    assert list(now) == list(before), "no other key goes"
    assert patch(tmp_path, [file], [name], FACTS) == "", "what is right is left alone"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("learning-rate-zero", "optim.SGD(0.1)", "optim.SGD(learning_rate=0.0)"),
        ("loss-sign-flipped", "LOSS", "-nn.losses.cross_entropy(m(x[:, :-1]), x[:, 1:]).mean()"),
        ("gradients-zero", "LOSS", "nn.losses.cross_entropy(mx.stop_gradient(m(x)), x).mean()"),
        ("labels-not-shifted", "LOSS", "nn.losses.cross_entropy(m(x), x).mean()"),
        (
            "gradient-discarded",
            "    optimizer.update(",
            "    gradients, _ = optim.clip_grad_norm(gradients, 0.0)\n        optimizer.update(",
        ),
        ("optimizer-never-stepped", "        optimizer.update(model, gradients)\n", ""),
    ],
)  # fmt: skip
@pytest.mark.long
def test_a_patched_program_is_healthy(tmp_path: Path, name: str, old: str, new: str) -> None:
    """`forensics check` finds the fault, the patch is applied as its reader would, and `check` is content."""
    text = textwrap.dedent(command.LOOP)
    if old == "LOSS":
        head, rest = text.split("step = nn.value_and_grad(model, lambda m: ")
        step = f"def loss(m):\n    return {new}\n\nstep = nn.value_and_grad(model, loss)"
        text = f"{head}{step}\n{rest.partition(chr(10))[2]}"
    else:
        assert textwrap.dedent(old) in text or old in text
        text = textwrap.dedent(command.LOOP.replace(old, new))
    command.write(tmp_path, text)
    words = ("check", "--only", name, "--", "python", "train.py")
    assert command.forensics(tmp_path, *words).status == 1
    applied(tmp_path, patch(tmp_path, ["train.py"], [name], {**FACTS, "rate": 0.1}))
    done = command.forensics(tmp_path, *words)
    assert done.status == 0, done.out + done.err


def test_of_several_places_the_one_of_the_finding_is_meant(tmp_path: Path) -> None:
    text = f"def a(model, batch):\n    return {NAIVE}\n\ndef b(model, batch):\n    return {NAIVE}\n"
    (tmp_path / "train.py").write_text(text)
    assert patch(tmp_path, ["train.py"], ["padding-in-loss"], FACTS) == ""
    assert patch(tmp_path, ["train.py"], ["padding-in-loss"], FACTS, {"padding-in-loss": "other.py:5"}) == ""
    diff = patch(tmp_path, ["train.py"], ["padding-in-loss"], FACTS, {"padding-in-loss": "train.py:5"})
    applied(tmp_path, diff)
    first, second = (tmp_path / "train.py").read_text().split("def b")
    assert NAIVE in first and NAIVE not in second


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
