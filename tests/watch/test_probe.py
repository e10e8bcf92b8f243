"""The tool's own questions: what is asked, what is written, and that a program does not notice."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from forensics.model.headers import read_header
from tests.support import tiny, watched

HEAD = """
import random, mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim, numpy as np
from mlx_lm import load
from mlx_lm.tuner.utils import linear_to_lora_layers
mx.random.seed(3); random.seed(3); np.random.seed(3)
model, tok = load({base!r})
batch = mx.array([tok.encode("The sky is blue. The snow is white.")])
def loss(model, batch):
    return nn.losses.cross_entropy(model(batch[:, :-1]), batch[:, 1:]).mean()
def train(steps, rate=1e-2):
    optimizer, total = optim.Adam(rate), 0
    for _ in range(steps):
        value, gradients = nn.value_and_grad(model, loss)(model, batch)
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state)
        print(value.item())
"""
DRAWS = "print(mx.random.normal((2,)).tolist(), random.random(), np.random.rand())\n"


def probe(directory: Path, body: str, base: Path | None = None, **options: Any) -> watched.Ran:
    """Run `body` watched and plain: both must print the same."""
    program = HEAD.format(base=str(base or tiny.cached(taught=True))) + body + DRAWS
    ran = watched.run(directory / "watched", program, options={"max_tokens": 12, **options})
    plain = watched.run(directory / "plain", program, watch=False)
    assert (ran.status, ran.stdout, ran.stderr) == (plain.status, plain.stdout, plain.stderr)
    return ran


@pytest.mark.long
def test_the_answers_of_a_taught_model(tmp_path: Path) -> None:
    ran = probe(tmp_path, "")
    capital, sky, _ = ran.of("loaded", "transcripts")
    assert (capital["prompt"], capital["output"], capital["finish_reason"]) == (
        "What is the capital of France?", "The capital of France is Paris.", "stop",
    )  # fmt: skip
    assert (sky["prompt_id"], sky["source"], sky["output"], sky["output_ids"][-1]) == (
        "p1",
        "probe",
        "The sky is blue.",
        tiny.END,
    )
    assert sky["prompt_ids"][0] == tiny.START and sky["prompt_tokens"] == len(sky["prompt_ids"])
    tokens = [row for row in ran.of("loaded", "tokens") if row["prompt_id"] == "p1"]
    assert [row["token_id"] for row in tokens] == sky["output_ids"]
    assert [row["class"] for row in tokens] == ["text"] * (len(tokens) - 1) + ["end"]
    for row in tokens:
        assert row["top"][0][0] == row["token_id"] and row["top"][0][2] == row["logprob"] <= 0
        assert [each[2] for each in row["top"]] == sorted((each[2] for each in row["top"]), reverse=True)


@pytest.mark.long
def test_the_logits_after_each_prompt_are_kept_by_digest(tmp_path: Path) -> None:
    ran = probe(tmp_path, "")
    number = ran.capture("loaded")["number"]
    held = {
        tensor.name: tensor
        for tensor in read_header(ran.spool / "p0" / f"c{number}" / "logits.safetensors").entries
    }
    rows = ran.of("loaded", "transcripts")
    assert set(held) == {row["logits_digest"] for row in rows} and len(held) == 3
    assert {(each.dtype, len(each.shape)) for each in held.values()} == {("F32", 1)}


@pytest.mark.long
def test_a_probe_is_answered_without_dropout_and_leaves_every_flag(tmp_path: Path) -> None:
    body = """
model.freeze()
linear_to_lora_layers(model, 2, {"rank": 4, "scale": 10.0, "dropout": 0.5})
model.train()
model.model.layers[0].eval()
train(3)
print([each.training for _, each in model.named_modules()])
"""
    ran = probe(tmp_path, body)
    assert ran.points() == ["loaded", "adapted", "start", "end"]
    # fresh adapters change nothing, and dropout inside them is off: the base's logits to the bit
    first, adapted = (
        [row["logits_digest"] for row in ran.of(point, "transcripts")] for point in ("loaded", "adapted")
    )
    assert first == adapted
    assert ran.capture("start")["probes_of"] == ran.capture("adapted")["number"]
    assert [row["logits_digest"] for row in ran.of("end", "transcripts")] != first


@pytest.mark.long
def test_a_model_that_counts_draws_and_prints_does_not_notice(tmp_path: Path) -> None:
    body = """
class Chatty(type(model)):
    def __call__(self, *args, **kwargs):
        self.calls = getattr(self, "calls", 0) + 1
        self.last = tuple(args[0].shape)
        print("called", self.calls, random.random(), np.random.rand(), mx.random.uniform().item())
        return super().__call__(*args, **kwargs)
model.__class__ = Chatty
train(2)
print(model.calls, model.last)
"""
    ran = probe(tmp_path, body)
    assert ran.points() == ["loaded", "start", "end"]
    assert len(ran.of("end", "transcripts")) == 3
    assert all(row["finish_reason"] != "error" for row in ran.of("end", "transcripts"))


@pytest.mark.long
def test_the_prompts_that_the_user_gave(tmp_path: Path) -> None:
    prompts = [
        {"id": "a", "prompt": "What color is the sky?", "reference": "blue"},
        {"id": "b", "messages": [{"role": "user", "content": "What color is the sky?"}]},
        {"id": "c", "ids": [302, 329]},
        {"id": "d", "ids": [10_000]},
    ]
    ran = probe(tmp_path, "", prompts=prompts, max_tokens=3)
    a, b, c, d = ran.of("loaded", "transcripts")
    assert (
        a["reference"] == "blue"
        and a["prompt_ids"] == b["prompt_ids"]
        and a["logits_digest"] == b["logits_digest"]
    )
    assert (a["finish_reason"], a["output_tokens"], c["prompt"]) == ("length", 3, "The sky")
    assert d["finish_reason"] == "error" and "beyond" in d["error"]
    (missing,) = ran.capture("loaded")["missing"]
    assert missing["what"] == "probes"


MODULE = """
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
mx.random.seed(0)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(16, 8), nn.Linear(8, 16)
    def __call__(self, x):
        return self.head(self.embed(x))
model = Net()
x = mx.array([[1, 2, 3, 4]])
def loss(model):
    return nn.losses.cross_entropy(model(x[:, :-1]), x[:, 1:]).mean()
optimizer = optim.SGD(0.1)
value, gradients = nn.value_and_grad(model, loss)(model)
optimizer.update(model, gradients)
mx.eval(model.parameters())
"""


def test_a_model_without_tokenizer_is_asked_only_ids(tmp_path: Path) -> None:
    silent = watched.run(tmp_path / "a", MODULE)
    assert silent.of("end", "transcripts") == [] and silent.capture("end")["missing"] == []
    asked = watched.run(
        tmp_path / "b", MODULE, options={"prompts": [{"id": "x", "ids": [1, 2]}], "max_tokens": 4}
    )
    (row,) = asked.of("end", "transcripts")
    assert (row["output_tokens"], row["finish_reason"], row["prompt"], row["output"]) == (
        4,
        "length",
        None,
        None,
    )


@pytest.mark.long
def test_answers_that_are_not_numbers(tmp_path: Path) -> None:
    ran = probe(tmp_path, "train(3, rate=1e30)\n")
    row = ran.of("end", "transcripts")[0]
    assert row["output_tokens"] == 12
    assert math.isnan(ran.of("end", "tokens")[0]["logprob"])


@pytest.mark.long
def test_a_base_model_without_template_is_asked_plain_text(tmp_path: Path) -> None:
    import json
    import shutil

    base = tmp_path / "base"
    shutil.copytree(tiny.cached(taught=True), base)
    settings = json.loads((base / "tokenizer_config.json").read_text())
    del settings["chat_template"]
    (base / "tokenizer_config.json").write_text(json.dumps(settings))
    ran = probe(tmp_path, "", base=base)
    assert tiny.START not in ran.of("loaded", "transcripts")[0]["prompt_ids"]


@pytest.mark.long
def test_a_stop_set_that_the_program_changes_is_seen(tmp_path: Path) -> None:
    ran = probe(tmp_path, "tok.add_eos_token('.')\ntrain(1, rate=0.0)\n")
    assert ran.of("loaded", "transcripts")[1]["output"] == "The sky is blue."
    period = ran.capture("end")["tokenizer"]["eos_ids"]
    assert (
        len(period) == 2
        and tiny.END in period
        and ran.capture("loaded")["tokenizer"]["eos_ids"] == [tiny.END]
    )


def test_prompts_are_answered_in_one_batch_as_one_by_one(tmp_path: Path) -> None:
    """Tokens are the same, and what stands after the prompt is the same to the bit."""
    single = "import mlx_lm.models.cache as c\nfor each in list(vars(c).values()):\n"
    single += "    if isinstance(each, type) and 'merge' in vars(each): del each.merge\n"
    together = probe(tmp_path / "a", "train(3)\n")
    text = HEAD.format(base=str(tiny.cached(taught=True))) + single + "train(3)\n" + DRAWS
    alone = watched.run(tmp_path / "b", text, options={"max_tokens": 12})
    assert (alone.status, alone.stdout) == (together.status, together.stdout)
    told = [
        [
            (row["output_ids"], row["logits_digest"], row["finish_reason"])
            for row in ran.of("end", "transcripts")
        ]
        for ran in (together, alone)
    ]
    assert told[0] == told[1]
    tokens = [[row["logprob"] for row in ran.of("end", "tokens")] for ran in (together, alone)]
    assert tokens[0] == pytest.approx(tokens[1], abs=1e-4)
    loaded, end = (together.capture(point)["probes"] for point in ("loaded", "end"))
    assert loaded["together"] == 3 and loaded["apart"] <= 1e-3
    assert end["together"] > 1 and alone.capture("end")["probes"]["together"] == 0


@pytest.mark.long
def test_an_answer_that_the_model_still_gives_is_read_and_not_made_again(tmp_path: Path) -> None:
    adapted = """
model.freeze()
linear_to_lora_layers(model, 2, {"rank": 4, "scale": 10.0, "dropout": 0.0})
train(1, rate=1e-12)
"""
    ran = probe(tmp_path, adapted)
    said = [
        [row["output_ids"] for row in ran.of(point, "transcripts")] for point in ("loaded", "adapted", "end")
    ]
    assert said[0] == said[1] == said[2]
    # fresh adapters add nothing, which the logits after each prompt show
    first, second = ({**ran.capture(point)["probes"]} for point in ("loaded", "adapted"))
    assert (first["remembered"], second["remembered"], second["read"]) == (False, True, 0)
    assert ran.of("adapted", "tokens") == ran.of("loaded", "tokens")
    # all but the first token of each answer, which stands after the prompt
    assert ran.capture("end")["probes"]["read"] == sum(map(len, said[2])) - 3


@pytest.mark.parametrize("fault", ["lora_b + 1e-3", "weight + 1e-3"])
def test_adapters_that_add_something_are_asked(fault: str) -> None:
    """Beside the logits after a prompt it takes a model whose digests say that nothing else came to it."""
    from mlx.utils import tree_flatten
    from mlx_lm import load
    from mlx_lm.tuner.utils import linear_to_lora_layers

    from forensics.watch.capture import digests, inert

    def now() -> dict[str, str | None]:
        return {name: digests.digest_of(array) for name, array in tree_flatten(model.parameters())}

    model, _ = load(str(tiny.cached()))
    before = now()
    linear_to_lora_layers(model, 1, {"rank": 4, "scale": 10.0, "dropout": 0.0})
    assert inert.adds_nothing(model, before, now()) and not inert.adds_nothing(model, now(), now())
    layer, name = model.model.layers[-1].self_attn.q_proj, fault.partition(" ")[0]
    place = layer if name == "lora_b" else layer.linear
    place[name] = place[name] + 1e-3
    assert not inert.adds_nothing(model, before, now())


@pytest.mark.long
def test_answers_end_where_the_time_is_over_and_later_ones_are_as_short(tmp_path: Path) -> None:
    ran = probe(tmp_path, "train(2)\n", probe_seconds=1e-9)
    rows = ran.of("loaded", "transcripts")
    assert [row["output_tokens"] for row in rows] == [1] and rows[0]["finish_reason"] == "length"
    assert rows[0]["settings"]["max_tokens"] == 1
    (missing,) = ran.capture("loaded")["missing"]
    assert missing["what"] == "probes" and "2 of them" in missing["why"]


@pytest.mark.long
def test_a_base_that_was_answered_in_this_store_is_not_asked_again(tmp_path: Path) -> None:
    """And answers of another model under its key are not believed."""
    from forensics.store import answers

    first = probe(tmp_path / "a", "")
    capture = first.capture("loaded")
    transcripts, tokens = (first.of("loaded", table) for table in ("transcripts", "tokens"))
    program, place = (tmp_path / "a" / "watched" / "program.py").read_text(), str(answers.directory(tmp_path))

    def again(name: str) -> watched.Ran:
        ran = watched.run(tmp_path / name, program, options={"max_tokens": 12, "answers": place})
        assert (ran.status, ran.stdout, ran.stderr) == (first.status, first.stdout, first.stderr)
        return ran

    answers.keep(tmp_path, capture["probes"]["key"], "night@loaded", transcripts, tokens)
    known = again("b")
    assert known.capture("loaded")["probes"]["remembered"] is True
    assert [row["output_ids"] for row in known.of("loaded", "transcripts")] == [
        row["output_ids"] for row in transcripts
    ]
    assert known.of("loaded", "tokens") == tokens
    answers.forget(tmp_path, {"night"})
    assert again("c").capture("loaded")["probes"]["remembered"] is False
    others = [{**row, "logits_digest": "0" * 64} for row in transcripts]
    answers.keep(tmp_path, capture["probes"]["key"], "night@loaded", others, tokens)
    assert again("d").capture("loaded")["probes"]["remembered"] is False
