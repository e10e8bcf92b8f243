"""What the watcher records of loading and saving by other ways than mlx-lm's own, and in odd moments."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import tiny, watched

HEAD = """
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim, threading
from pathlib import Path
from mlx.utils import tree_flatten
from mlx_lm.utils import load_model
base = Path({base!r})
mx.random.seed(1)
"""


def observe(directory: Path, body: str, *, head: str = HEAD) -> watched.Ran:
    program = head.format(base=str(tiny.cached(taught=True))) + body
    ran = watched.run(directory / "watched", program, options={"max_tokens": 4})
    plain = watched.run(directory / "plain", program, watch=False)
    assert (ran.status, ran.stdout, ran.stderr) == (plain.status, plain.stdout, plain.stderr)
    assert not ran.rows("missing")
    return ran


@pytest.mark.long
@pytest.mark.parametrize(
    "loader",
    [
        (
            "from transformers import AutoTokenizer\nmodel, _ = load_model(base)\ntok ="
            " AutoTokenizer.from_pretrained(str(base))\n"
        ),
        "from mlx_lm.utils import load_tokenizer\ntok = load_tokenizer(base)\nmodel, _ = load_model(base)\n",
        (
            "from transformers import PreTrainedTokenizerFast as T\ntok = T.from_pretrained(str(base))\ntok ="
            " T.from_pretrained(str(base))\nmodel, _ = load_model(base)\n"
        ),
    ],
)
def test_a_tokenizer_that_the_program_loads_itself_asks_the_probes(tmp_path: Path, loader: str) -> None:
    training = """
x = mx.array([[1, 2, 3, 4]])
optimizer = optim.SGD(0.0)
loss = lambda m: nn.losses.cross_entropy(m(x[:, :-1]), x[:, 1:]).mean()
value, gradients = nn.value_and_grad(model, loss)(model)
optimizer.update(model, gradients)
mx.eval(model.parameters())
"""
    ran = observe(tmp_path, loader + training)
    number = ran.capture("start")["probes_of"]
    number = ran.capture("start")["number"] if number is None else number
    assert ran.rows(f"c{number}/transcripts")[1]["output"] == "The sky is blu"
    assert ran.capture("end")["tokenizer"]["eos_id"] == tiny.END


@pytest.mark.long
def test_weights_loaded_by_hand_into_a_model_of_the_program(tmp_path: Path) -> None:
    body = """
import json
from mlx_lm.models import qwen2
model = qwen2.Model(qwen2.ModelArgs.from_dict(json.loads((base / "config.json").read_text())))
model.load_weights(str(base / "model.safetensors"))
part = {"weight": model.model.norm.weight * 2}
model.model.norm.load_weights(list(part.items()))
"""
    ran = observe(tmp_path, body)
    assert [row["model"] for row in ran.rows("captures")] == ["m0"] and ran.points() == ["loaded"]
    assert ran.rows("models")[-1]["path"] == str(tiny.cached(taught=True))
    assert [event["model"] for event in ran.events("load")][-2:] == ["m0", "m0"]
    assert ran.events("write")[-1]["detail"]["leaves"] == 1


@pytest.mark.long
def test_saves_of_a_thread_and_of_the_optimizer_are_told_apart(tmp_path: Path) -> None:
    body = """
model, _ = load_model(base)
x = mx.array([[1, 2, 3, 4]])
optimizer = optim.Adam(1e-3)
loss = lambda m: nn.losses.cross_entropy(m(x[:, :-1]), x[:, 1:]).mean()
value, gradients = nn.value_and_grad(model, loss)(model)
optimizer.update(model, gradients)
mx.eval(model.parameters(), optimizer.state)
def save():
    mx.save_safetensors("weights.safetensors", dict(tree_flatten(model.parameters())))
thread = threading.Thread(target=save)
thread.start()
thread.join()
mx.save_safetensors("optimizer.safetensors", dict(tree_flatten(optimizer.state)))
model.save_weights("again.npz")
"""
    ran = observe(tmp_path, body)
    owners = {(row["save"], row["file"], row["model"], row["updates"]) for row in ran.rows("saved_tensors")}
    assert owners == {
        (0, "weights.safetensors", "m0", 1),
        (1, "optimizer.safetensors", None, None),
        (2, "again.npz", "m0", 1),
    }
    assert [event["detail"]["ok"] for event in ran.events("save")] == [True, True, True]
    assert ran.points()[-1] == "end"


@pytest.mark.long
def test_a_save_that_fails_half_way_is_told(tmp_path: Path) -> None:
    body = """
model, _ = load_model(base)
try:
    mx.save_safetensors("no/such/place.safetensors", dict(tree_flatten(model.parameters())))
except Exception as error:
    print("failed")
try:
    model.save_weights("model.pickle")
except ValueError:
    print("refused")
"""
    ran = observe(tmp_path, body)
    (event,) = ran.events("save")
    assert (event["detail"]["ok"], event["detail"]["names"], event["detail"]["nbytes"]) == (False, 27, None)
    assert [event["detail"]["caught"] for event in ran.events("error")] == [True, True]


@pytest.mark.long
def test_parameters_that_leave_by_way_of_numpy(tmp_path: Path) -> None:
    body = """
import numpy as np
from safetensors.numpy import save_file
model, _ = load_model(base)
named = {name: np.array(array) for name, array in tree_flatten(model.parameters())}
np.savez("plain", **named)
np.savez_compressed("packed.npz", **dict(tree_flatten(model.parameters())))
save_file(named, "file.safetensors")
np.savez("other.npz", data=np.arange(5))
np.save("other.npy", np.arange(5))
mx.savez("short", **dict(tree_flatten(model.parameters())))
print(np.savez.__module__, np.load("plain.npz")["model.norm.weight"].sum())
"""
    ran = observe(tmp_path, body)
    digests = ran.digests("loaded")
    found = {(row["file"], row["model"]): 0 for row in ran.rows("saved_tensors")}
    for row in ran.rows("saved_tensors"):
        found[row["file"], row["model"]] += row["digest"] == digests[row["name"]]
    assert found == {
        (name, "m0"): 27 for name in ("plain.npz", "packed.npz", "file.safetensors", "short.npz")
    }
    assert all(event["detail"]["nbytes"] > 1000 for event in ran.events("save"))
