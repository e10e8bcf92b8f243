"""Cures of an adapter's training, saving and asking.

In a program of mlx-lm that is watched as a repeat is, the faulty program with its cure prints and saves what
the healthy one does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import tiny, watched

KEYS = ["self_attn.q_proj", "self_attn.v_proj"]
LORA = {"rank": 4, "scale": 10.0, "dropout": 0.0}
FACTS = {"adapter": {"kind": "lora", "num_layers": 2, "keys": KEYS, **LORA}}
PROGRAM = f"""
import copy, sys
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.tuner.utils import linear_to_lora_layers

fault, LORA = sys.argv[1], {dict(LORA, keys=KEYS)!r}
mx.random.seed(0)
model, tokenizer = load("model")
model.freeze()
linear_to_lora_layers(model, 2, LORA)
learner = copy.deepcopy(model) if fault == "wrong-model-updated" else model
x = mx.array([tokenizer.encode("What color is the sky? The sky is blue.")])
prefix = tokenizer.encode("What color is")

def filled():
    cache = make_prompt_cache(model)
    model(mx.array([prefix[:2]]), cache=cache)
    return cache

early = filled()

def loss(m, made=None):
    z = m(x[:, :-1]) if made is None else made
    if fault == "gradients-zero":
        z = mx.stop_gradient(z)
    return nn.losses.cross_entropy(z, x[:, 1:]).mean()

value_and_grad, optimizer = nn.value_and_grad(learner, loss), optim.SGD(0.2)

def advance():
    made = [learner(x[:, :-1])] if fault == "logits-handed-over" else []
    value, grads = value_and_grad(learner, *made)
    if fault == "gradient-discarded":
        grads, _ = optim.clip_grad_norm(grads, 0.0)
    optimizer.update(learner, grads)
    return value

state = [learner.state, optimizer.state]
step = mx.compile(advance, outputs=state) if fault == "compile-state-not-captured" else advance
draw = lambda: mx.random.uniform(shape=(2,))
draw = mx.compile(draw) if fault == "compile-random-frozen" else draw
for _ in range(4):
    value = step()
    mx.eval(value, state)
print("DRAWS", *[draw().tolist() for _ in range(3)])
if fault == "unexplained-change":
    model.model.norm.weight[:] = -model.model.norm.weight
own = dict(tree_flatten(model.trainable_parameters()))
if fault == "adapter-incomplete":
    own = {{name: each for name, each in own.items() if name.endswith("lora_a")}}
if fault == "adapter-not-loaded":
    own = {{"base_model." + name: each for name, each in own.items()}}
if fault == "reload-mismatch":
    own = {{name: each * 3 for name, each in own.items()}}
try:
    mx.save_safetensors("out.safetensors", model.trainable_parameters() if fault == "save-failed" else own)
except Exception as error:
    mx.save_safetensors("out.safetensors", {{"none": mx.zeros(1)}})
cache = early if fault == "stale-prompt-cache" else filled()
print("ANSWER", generate(model, tokenizer, prompt=prefix[2:], max_tokens=8, prompt_cache=cache).encode())
print("PLAIN", generate(model, tokenizer, prompt=prefix, max_tokens=8).encode())
print("LOGITS", round(model(x).astype(mx.float32).sum().item(), 2))
print("CACHE", round(float(cache[0].keys[:, :, :2].sum()), 3) if fault != "stale-prompt-cache" else "")
again, _ = load("model")
if fault != "unread":
    linear_to_lora_layers(again, 2, LORA)
again.load_weights("out.safetensors", strict=False)
again.eval()
print("AGAIN", round(again(x).astype(mx.float32).sum().item(), 2))
"""
FAULTS = [
    "compile-state-not-captured",
    "compile-random-frozen",
    "wrong-model-updated",
    "gradients-zero",
    "gradient-discarded",
    "unexplained-change",
    "adapter-incomplete",
    "adapter-not-loaded",
    "reload-mismatch",
    "save-failed",
]


def ran(place: Path, fault: str, *cures: str) -> tuple[list[str], dict[str, Any], set[str]]:
    """(the lines that it printed, what the saved file holds, the cures that say that they acted)."""
    import mlx.core as mx

    directory = place / f"{fault}-{len(cures)}"
    directory.mkdir(parents=True)
    (directory / "model").symlink_to(tiny.cached(), target_is_directory=True)
    repeat = {"repeat": {"cures": list(cures), "facts": FACTS}} if cures else {}
    done = watched.run(directory, PROGRAM, fault, options={"tensors": "none", **repeat})
    assert done.status == 0, done.stderr
    assert not [row for row in done.rows("missing") if "cure" in row["what"]], done.rows("missing")
    saved = dict(mx.load(str(directory / "out.safetensors")))
    return done.stdout.splitlines(), saved, {row["id"] for row in done.rows("cures")}


def alike(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return set(a) == set(b) and all(
        a[name].shape == b[name].shape and (a[name] == b[name]).all().item() for name in a
    )


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, Any], set[str]]:
    return ran(tmp_path_factory.mktemp("healthy"), "none")


@pytest.mark.long
@pytest.mark.parametrize("name", FAULTS)
def test_the_healthy_twin(tmp_path: Path, healthy: Any, name: str) -> None:
    faulty = ran(tmp_path, name)
    assert faulty[0] != healthy[0] or not alike(faulty[1], healthy[1]), "there is a fault"
    cured = ran(tmp_path, name, name)
    assert cured[2] == {name}
    assert alike(cured[1], healthy[1])
    # a cache that the untrained model filled is another fault
    own = [("ANSWER", "LOGITS", "CACHE")] if name == "wrong-model-updated" else []
    assert _without(cured[0], *own) == _without(healthy[0], *own)


def _without(lines: list[str], heads: tuple[str, ...] = ()) -> list[str]:
    return [line for line in lines if line.partition(" ")[0] not in heads]


@pytest.mark.long
def test_a_cache_of_before(tmp_path: Path, healthy: Any) -> None:
    """What a stale cache holds is read again; the cache that the program holds stays as it is."""
    cured = ran(tmp_path, "stale-prompt-cache", "stale-prompt-cache")
    assert cured[2] == {"stale-prompt-cache"}
    assert cured[0][1] == healthy[0][1] and cured[0][1].startswith("ANSWER")


@pytest.mark.long
def test_an_adapter_that_was_never_put_in(tmp_path: Path, healthy: Any) -> None:
    assert ran(tmp_path, "unread")[0][-1] != healthy[0][-1], "there is a fault"
    cured = ran(tmp_path, "unread", "adapter-not-loaded")
    assert cured[0][-1] == healthy[0][-1] and cured[0][-1].startswith("AGAIN")


@pytest.mark.long
def test_logits_that_were_made_before_the_loss(tmp_path: Path, healthy: Any) -> None:
    assert not alike(ran(tmp_path, "logits-handed-over")[1], healthy[1]), "there is a fault"
    cured = ran(tmp_path, "logits-handed-over", "gradients-zero")
    assert cured[2] == {"gradients-zero"}
    assert alike(cured[1], healthy[1]) and cured[0] == healthy[0]


@pytest.mark.long
@pytest.mark.parametrize("name", [*FAULTS, "stale-prompt-cache"])
def test_a_program_without_the_fault(tmp_path: Path, healthy: Any, name: str) -> None:
    said, saved, _ = ran(tmp_path, "none", name)
    assert said == healthy[0] and alike(saved, healthy[1])
