"""What a run saved, loaded in a fresh process: captured as `reloaded`, asked the same probes.

What cannot be loaded says why.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics.capture import reload
from forensics.capture.spool import Spool
from tests.support import tiny, watched

LORA = """
import json, pathlib, mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import load
from mlx_lm.tuner.utils import linear_to_lora_layers
model, tok = load({base!r})
model.freeze()
config = {{"rank": 4, "scale": 10.0, "dropout": 0.0}}
linear_to_lora_layers(model, 2, config)
batch = mx.array([tok.encode("The sky is blue. The snow is white.")])
def loss(model, batch):
    return nn.losses.cross_entropy(model(batch[:, :-1]), batch[:, 1:]).mean()
optimizer = optim.Adam(1e-2)
def train(steps):
    for _ in range(steps):
        value, gradients = nn.value_and_grad(model, loss)(model, batch)
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state)
out = pathlib.Path("out")
out.mkdir()
def save(name, **changed):
    mx.save_safetensors(str(out / name), dict(tree_flatten(model.trainable_parameters())))
    settings = {{"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": config | changed}}
    (out / "adapter_config.json").write_text(json.dumps(settings))
train(2)
"""

OPEN = {"trust": False, "nbytes": 1 << 20}  # of a model of ours, which runs no code of its own


def reloaded(directory: Path, body: str, head: str = LORA, *, status: str | None = None) -> watched.Ran:
    """Run a program watched, then load what it saved; process 1 of the result is the fresh one."""
    ran = watched.run(directory, (head + body).format(base=str(tiny.cached(taught=True))))
    assert ran.status == 0, ran.stderr
    spool = Spool(ran.spool)
    assert reload.reload(spool, reload.items(spool)) == status
    return ran


def parameters(ran: watched.Ran, point: str, process: int = 0) -> dict[str, str]:
    return {
        row["name"]: row["digest"]
        for row in ran.of(point, "placements", process)
        if row.get("role") != "optimizer"
    }


def test_an_adapter_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    ran = reloaded(tmp_path, "save('0000001_adapters.safetensors')\ntrain(1)\nsave('adapters.safetensors')\n")
    assert ran.points(1) == ["reloaded"]
    capture = ran.capture("reloaded", 1)
    assert (capture["model"], capture["updates"], capture["missing"]) == ("m0", 3, [])
    assert parameters(ran, "reloaded", 1) == parameters(ran, "end")
    said = [(row["output_ids"], row["logits_digest"]) for row in ran.of("end", "transcripts")]
    assert [(row["output_ids"], row["logits_digest"]) for row in ran.of("reloaded", "transcripts", 1)] == said
    (event,) = ran.events("load", 1)
    assert event["detail"] | {"path": ""} == {
        "via": "reload", "point": "reloaded", "what": "adapter", "path": "", "names": 28, "matched": 28,
        "unexpected": 0, "absent": 0, "from_adapter": True, "ok": True,
    }  # fmt: skip
    written = {path.parent.name for path in ran.spool.glob("p1/c*/tensors.safetensors")}
    assert not written  # every byte lies in the spool of the run already


@pytest.mark.long
def test_a_numbered_checkpoint_is_loaded_under_the_name_that_the_loader_wants(tmp_path: Path) -> None:
    ran = reloaded(tmp_path, "save('0000002_adapters.safetensors')\n")
    assert parameters(ran, "reloaded", 1) == parameters(ran, "end")


@pytest.mark.long
def test_another_scale_in_the_saved_config_is_seen_in_the_logits(tmp_path: Path) -> None:
    ran = reloaded(tmp_path, "save('adapters.safetensors', scale=2.0)\n")
    assert parameters(ran, "reloaded", 1) == parameters(ran, "end")
    live, again = (
        ([row["logits_digest"] for row in rows])
        for rows in (ran.of("end", "transcripts"), ran.of("reloaded", "transcripts", 1))
    )
    assert not set(live) & set(again)
    assert {row["scale"] for row in ran.of("reloaded", "modules", 1) if row["class"] == "LoRALinear"} == {2.0}


@pytest.mark.long
@pytest.mark.parametrize(
    ("body", "why"),
    [
        (
            (
                "mx.save_safetensors(str(out / 'adapters.safetensors'),"
                " dict(tree_flatten(model.trainable_parameters())))"
            ),
            "adapter_config.json is",
        ),
        ("save('adapters.safetensors', rank=8)", "does not match"),
        ("save('adapters.safetensors', keys=['q_proj'])", "ValueError"),
        ("save('adapters.safetensors')\n(out / 'adapters.safetensors').unlink()", "is gone"),
        (
            (
                "mx.save_safetensors('out/w.safetensors', {{'x.' + k: v for k, v in"
                " tree_flatten(model.parameters()) if 'ra_' not in k}})"
            ),
            "x.",
        ),
    ],
)
def test_what_cannot_be_loaded_says_why_in_one_line(tmp_path: Path, body: str, why: str) -> None:
    ran = reloaded(tmp_path, body + "\n")
    assert ran.points(1) == []
    (event,) = ran.events("load", 1)
    assert event["detail"]["ok"] is False and why in event["detail"]["message"]
    assert "\n" not in event["detail"]["message"]


FULL = LORA.replace("model.freeze()", "").replace("linear_to_lora_layers(model, 2, config)\n", "")


@pytest.mark.long
@pytest.mark.parametrize(
    "body",
    [
        (
            "import shutil\nshutil.copyfile({base!r} + '/config.json',"
            " 'out/config.json')\nmodel.save_weights('out/model.safetensors')\n"
        ),
        "model.save_weights('out/w.safetensors')\n",
        "model.save_weights('out/w.npz')\n",
        (
            "mx.save_safetensors('out/part.safetensors', {{k: v for k, v in tree_flatten(model.parameters())"
            " if 'layers.1' in k}})\nmodel.load_weights({base!r} +"
            " '/model.safetensors')\nmodel.load_weights('out/part.safetensors', strict=False)\n"
        ),
    ],
)
def test_whole_and_partial_weights_are_loaded_on_their_base(tmp_path: Path, body: str) -> None:
    ran = reloaded(tmp_path, body, FULL)
    assert parameters(ran, "reloaded", 1) == parameters(ran, "end")
    assert len(ran.of("reloaded", "transcripts", 1)) == 3  # the base's tokenizer


def test_a_model_at_rest_answers_the_probes(tmp_path: Path) -> None:
    prompts = [{"id": "a", "prompt": "What color is the sky?"}, {"id": "b", "ids": [302, 329]}]
    captured, why = reload.ask(
        tmp_path / "spool", tiny.cached(taught=True), None, {"prompts": prompts, "max_tokens": 12}, **OPEN
    )
    assert why is None and captured is not None
    a, b = captured.rows("transcripts")
    assert (captured.point, captured.head["tokenizer"]["eos_ids"]) == ("rest", [tiny.END])
    assert (a["prompt_id"], a["output"], a["finish_reason"]) == ("a", "The sky is blue.", "stop")
    assert (b["prompt_ids"], b["prompt"]) == ([302, 329], "The sky")
    assert captured.logits_file.exists() and not captured.rows("placements")


@pytest.mark.long
def test_a_peft_adapter_answers_as_the_same_adapter_of_mlx_lm(tmp_path: Path) -> None:
    import mlx.core as mx
    import numpy as np
    from safetensors.numpy import save_file

    rng = np.random.default_rng(0)
    path = "model.layers.1.self_attn.q_proj"
    a, b = rng.normal(size=(4, 32)).astype("f4"), rng.normal(size=(32, 4)).astype("f4")
    theirs, ours = tmp_path / "peft", tmp_path / "mlx"
    for directory in (theirs, ours):
        directory.mkdir()
    names = {f"base_model.model.{path}.lora_A.weight": a, f"base_model.model.{path}.lora_B.weight": b}
    save_file(names, theirs / "adapter_model.safetensors")
    (theirs / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]})
    )
    mx.save_safetensors(
        str(ours / "adapters.safetensors"), {f"{path}.lora_a": mx.array(a.T), f"{path}.lora_b": mx.array(b.T)}
    )
    settings = {"rank": 4, "scale": 2.0, "dropout": 0.0, "keys": ["self_attn.q_proj"]}
    (ours / "adapter_config.json").write_text(json.dumps({"num_layers": 1, "lora_parameters": settings}))
    said: list[list[str]] = []
    for adapter in (theirs, ours, None):
        captured, why = reload.ask(
            tmp_path / f"spool-{len(said)}", tiny.cached(taught=True), adapter, {"max_tokens": 4}, **OPEN
        )
        assert captured is not None and why is None
        said.append([row["logits_digest"] for row in captured.rows("transcripts")])
    assert said[0] == said[1] != said[2]


def test_a_directory_that_is_no_model_says_why(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"model_type": "no-such-thing"}))
    captured, why = reload.ask(tmp_path / "spool", tmp_path / "model", None, {}, **OPEN)
    assert captured is None and why is not None and "\n" not in why
