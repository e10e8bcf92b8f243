"""Cures of generation and of what is saved, in programs of mlx-lm that are watched as a repeat is."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Any

import pytest

from forensics.watch.repeat import request
from tests.support import tiny, watched

PROGRAM = """
import copy, sys
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load

fault = sys.argv[1]
mx.random.seed(0)
model, tokenizer = load("model")
before = copy.deepcopy(model)
first = dict(tree_flatten(model.parameters()))
x = mx.array([tokenizer.encode("What color is the sky? The sky is blue.")])
step = nn.value_and_grad(model, lambda m: nn.losses.cross_entropy(m(x[:, :-1]), x[:, 1:]).mean())
optimizer = optim.Adam(1e-2)
asked = mx.compile(lambda ids: model(ids)) if fault == "stale-compiled-function" else model
asked(x)
for i in range(4):
    if i == 3 and fault == "saved-before-last-update":
        mx.save_safetensors("out.safetensors", dict(tree_flatten(model.parameters())))
    _, grads = step(model)
    if fault != "optimizer-never-stepped":
        optimizer.update(model, grads)
    mx.eval(model.parameters(), optimizer.state)
if fault != "saved-before-last-update":
    now = dict(tree_flatten(model.parameters()))
    mx.save_safetensors("out.safetensors", first if fault == "saved-untrained" else now)
if fault == "randomness-in-generation":
    forward = type(model.layers[0].mlp).__call__
    type(model.layers[0].mlp).__call__ = lambda self, x: (
        forward(self, x) * mx.random.uniform(0.0, 2.0, x.shape) + mx.random.normal(x.shape)
    )
used = before if fault == "stale-model-in-generation" else model
print("ANSWER", generate(used, tokenizer, prompt=tokenizer.encode("What color"), max_tokens=8).encode())
print("LOGITS", asked(x).sum().item())
"""


@functools.cache
def ran(place: Path, fault: str, *cures: str) -> tuple[str, dict[str, Any], set[str]]:
    """(what it printed, what the saved file holds, the cures that say that they acted)."""
    import mlx.core as mx

    directory = place / f"{fault}-{len(cures)}"
    directory.mkdir(parents=True)
    (directory / "model").symlink_to(tiny.cached(), target_is_directory=True)
    repeat = {"repeat": {"cures": list(cures), "facts": {"updates": 0}}} if cures else {}
    done = watched.run(directory, PROGRAM, fault, options={"tensors": "none", **repeat})
    assert done.status == 0, done.stderr
    assert not [row for row in done.rows("missing") if "cure" in row["what"]], done.rows("missing")
    return (
        done.stdout,
        dict(mx.load(str(directory / "out.safetensors"))),
        {row["id"] for row in done.rows("cures")},
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("answers")


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [
        "stale-model-in-generation",
        "stale-compiled-function",
        "randomness-in-generation",
        "saved-untrained",
        "saved-before-last-update",
        "optimizer-never-stepped",
    ],
)
def test_the_healthy_twin(place: Path, name: str) -> None:
    said, saved, _ = ran(place, "none")
    faulty = ran(place, name)
    assert faulty[0] != said or any((faulty[1][key] != saved[key]).any().item() for key in saved), (
        "there is a fault"
    )
    cured = ran(place, name, name)
    assert cured[0] == said and cured[2] == {name}
    assert all((cured[1][key] == saved[key]).all().item() for key in saved)


# -- what one call is given ----------------------------------------------------------------------------------


def given(
    name: str, facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch, **call: Any
) -> tuple[str | None, dict[str, Any]]:
    monkeypatch.setattr(request.watch, "options", {"repeat": {"facts": facts}})
    module = importlib.import_module(f"forensics.watch.cures.{name.replace('-', '_')}")
    function = next(
        value
        for value in vars(module).values()
        if callable(value) and getattr(value, "__module__", "") == module.__name__
    )
    return function(call), call


@functools.cache
def loaded() -> tuple[Any, Any]:
    from mlx_lm import load

    return load(str(tiny.cached()))  # type: ignore[return-value]


def test_begin_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    assert given("double-bos", {"bos": 3}, monkeypatch, prompt=[3, 3, 3, 8, 9])[1]["prompt"] == [3, 8, 9]
    for prompt in ([3, 8, 9], [8, 8], "text", [3]):
        assert given("double-bos", {"bos": 3}, monkeypatch, prompt=prompt) == (None, {"prompt": prompt})


def test_the_template(monkeypatch: pytest.MonkeyPatch) -> None:
    _, tokenizer = loaded()
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Why?"}], add_generation_prompt=True, return_dict=False
    )
    opened = tokenizer.encode("<|im_start|>assistant\n")[:1] + tokenizer.encode("<|im_start|>assistant\n")[1:]
    facts = {"markers": [[1, [1]], opened], "framed": True}
    for prompt in ("Why?", tokenizer.encode("Why?")):
        what, call = given("template-mismatch", facts, monkeypatch, tokenizer=tokenizer, prompt=prompt)
        assert what and call["prompt"] == asked
    assert given("template-mismatch", facts, monkeypatch, tokenizer=tokenizer, prompt=asked)[0] is None
    assert (
        given(
            "template-mismatch", {**facts, "framed": False}, monkeypatch, tokenizer=tokenizer, prompt="Why?"
        )[0]
        is None
    )


def test_the_stop_set(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlx_lm.tokenizer_utils import TokenizerWrapper

    tokenizer = TokenizerWrapper(loaded()[1]._tokenizer, eos_token_ids=[0])
    tokenizer._eos_token_ids = {0}  # as a program does that sets another end than training has
    what, call = given("stop-token-missing", {"ends": [2]}, monkeypatch, tokenizer=tokenizer)
    assert what and set(call["tokenizer"].eos_token_ids) == {0, 2}
    assert given("stop-token-missing", {"ends": [2]}, monkeypatch, tokenizer=tokenizer)[0] is None


def test_eval_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = loaded()
    model.train()
    assert given("dropout-in-generation", {}, monkeypatch, model=model)[0] and not model.training
    assert given("dropout-in-generation", {}, monkeypatch, model=model)[0] is None
