"""The smallest part of B that makes A answer as B.

The search alone, and on real tiny models with planted differences.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import load

from forensics.errors import UnknownRef, UsageError
from forensics.judge import bench
from forensics.judge.transplant import Part, Search
from forensics.store.store import Store
from tests.support import command, tiny, training

PARTS = [
    Part(
        f"model.layers.{layer}.{module}.weight",
        "weights",
        f"model.layers.{layer}",
        f"model.layers.{layer}.{module}",
    )
    for layer in range(30)
    for module in ("q", "k", "v", "o", "up", "gate", "down", "norm_1", "norm_2", "q_norm", "k_norm", "bias")
] + [Part(name, name) for name in ("template", "stop set", "sampler")]


@pytest.mark.parametrize("seed", range(20))
def test_the_search_finds_what_is_needed_and_nothing_beside(seed: int) -> None:
    """Of 363 parts one to four are needed together.

    They are found to the name, by far fewer tries than there are sets.
    """
    dice = random.Random(seed)
    needed = frozenset(part.name for part in dice.sample(PARTS, dice.randint(1, 4)))
    search = Search(lambda moved: needed <= moved)
    assert search.smallest(PARTS) == (needed, True)
    assert search.tried < 200


def test_no_single_one_can_be_left_out_where_either_of_two_ways_is_enough() -> None:
    names = [part.name for part in PARTS]
    ways = (frozenset(names[10:12]), frozenset(names[200:203]))
    found, _ = Search(lambda moved: any(way <= moved for way in ways)).smallest(PARTS)
    assert found in ways


@pytest.mark.long
def test_a_search_whose_time_is_spent_gives_the_best_so_far_and_goes_on_from_what_is_known() -> None:
    needed = frozenset(PARTS[i].name for i in (3, 77))

    def slow(moved: frozenset[str]) -> bool:
        time.sleep(0.02)
        return needed <= moved

    first = Search(slow, seconds=0.1)
    best, complete = first.smallest(PARTS)
    assert not complete and needed < best
    second = Search(slow, dict(first.known))
    assert second.smallest(PARTS) == (needed, True)
    whole = Search(lambda moved: needed <= moved)
    whole.smallest(PARTS)
    assert first.tried + second.tried == whole.tried


def test_where_not_even_everything_is_enough_the_set_is_empty() -> None:
    assert Search(lambda moved: False).smallest(PARTS) == (frozenset(), True)


# -- real models ---------------------------------------------------------------------------------------------


def changed(base: Path, target: Path, change: Callable[[dict[str, mx.array]], None]) -> Path:
    shutil.copytree(base, target)
    weights = mx.load(str(target / "model.safetensors"))
    assert isinstance(weights, dict)
    change(weights)
    mx.save_safetensors(str(target / "model.safetensors"), weights, {"format": "mlx"})
    return target


def found(place: Path, a: Path, b: Path, **more: object) -> bench.Transplant:
    return bench.transplant(Store(place / "store"), str(a), str(b), **more)  # type: ignore[arg-type]


HEAD = "lm_head.weight"
DOWN, OUT = "model.layers.2.mlp.down_proj.weight", "model.layers.4.self_attn.o_proj.weight"


@pytest.mark.long
def test_two_tensors_among_many_that_differ_a_little(tmp_path: Path) -> None:
    def plant(weights: dict[str, mx.array]) -> None:
        for name in weights:
            weights[name] = weights[name] * (1 + 1e-6)
        weights[DOWN], weights[OUT] = weights[DOWN] * 3 + 0.1, -2 * weights[OUT]

    a = tiny.build(tmp_path / "a", layers=6)
    b = changed(a, tmp_path / "b", plant)
    began = time.monotonic()
    told = found(tmp_path, a, b)
    assert told.smallest == (DOWN, OUT) and told.sentence == "These 2 of 75 tensors are enough."
    assert time.monotonic() - began < 30
    again = found(tmp_path, a, b)
    assert (again.smallest, again.tried) == (told.smallest, 0), "what was tried is remembered"


def test_quantized_weights_move_with_their_scales(tmp_path: Path) -> None:
    def plant(weights: dict[str, mx.array]) -> None:
        name = "model.layers.1.mlp.up_proj.scales"
        weights[name] = -4 * weights[name]

    a = tiny.build(tmp_path / "a", layers=3, bits=4)
    told = found(tmp_path, a, changed(a, tmp_path / "b", plant))
    assert told.smallest == ("model.layers.1.mlp.up_proj.scales",)


@pytest.mark.long
def test_an_adapter_is_named_by_its_layers(tmp_path: Path) -> None:
    a = tiny.build(tmp_path / "a", layers=3)
    model = load(str(a))[0]
    model.freeze()
    config = {"rank": 4, "scale": 20.0, "dropout": 0.0, "keys": ["self_attn.q_proj", "mlp.down_proj"]}
    linear_to_lora_layers(model, 3, config)
    model.model.layers[1].mlp.down_proj.lora_b = mx.random.normal((4, 32)) * 3
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    mx.save_safetensors(
        str(adapter / "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters()))
    )
    settings = {"fine_tune_type": "lora", "num_layers": 3, "lora_parameters": config, "model": str(a)}
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    told = found(tmp_path, a, a, adapter=adapter)
    assert told.smallest == ("model.layers.1.mlp.down_proj.lora",) and told.parts == 6
    louder = tmp_path / "louder"
    shutil.copytree(adapter, louder)
    config["scale"] = 60.0
    (louder / "adapter_config.json").write_text(json.dumps(settings))
    told = found(tmp_path, adapter, louder)
    assert told.smallest == ("scale of model.layers.1.mlp.down_proj",)
    assert told.sentence == "None of the weights: scale of model.layers.1.mlp.down_proj."
    away = found(tmp_path, adapter, a)
    assert away.smallest == ("model.layers.1.mlp.down_proj without its adapter",)


@pytest.mark.long
def test_none_of_the_weights_but_the_template_or_the_stop_set(tmp_path: Path) -> None:
    a = tiny.build(tmp_path / "a")
    b = tmp_path / "b"
    shutil.copytree(a, b)
    settings = json.loads((b / "tokenizer_config.json").read_text())
    settings["chat_template"] = settings["chat_template"].replace("<|im_start|>{{", "### {{")
    (b / "tokenizer_config.json").write_text(json.dumps(settings))
    told = found(tmp_path, a, b)
    assert told.sentence == "None of the weights: the template."
    c = tmp_path / "c"
    shutil.copytree(a, c)
    ends = sorted(set(bench_tokens(told)))[:40]
    for name in ("config.json", "generation_config.json"):
        settings = json.loads((c / name).read_text())
        (c / name).write_text(json.dumps({**settings, "eos_token_id": [2, *ends]}))
    assert found(tmp_path, a, c).sentence == "None of the weights: the stop set."


def bench_tokens(told: bench.Transplant) -> list[int]:
    """Tokens that A's answers hold."""
    tokenizer = load(told.a)[1]
    return [each for answer, _ in told.answers for each in tokenizer.encode(answer)]


@pytest.mark.long
def test_equal_models_have_nothing_to_move_and_another_architecture_moves_as_a_whole(tmp_path: Path) -> None:
    a = tiny.build(tmp_path / "a")
    same = found(tmp_path, a, a)
    assert same.same and same.smallest == () and same.document()["harm"][0]["as_recorded"] == 0
    other = found(tmp_path, a, tiny.build(tmp_path / "b", "llama", seed=3))
    assert other.smallest == ("the model",)


@pytest.mark.long
def test_captures_of_a_run_of_ones_own(tmp_path: Path) -> None:
    """`start` against `end` of a run with an adapter: its factors, by name."""
    place = training.laid_out("transplant")
    body = """
        lora()
        optimizer, value_and_grad = optim.SGD(3.0), nn.value_and_grad(model, loss)
        for i in range(3):
            value, gradients = value_and_grad(model, batch)
            optimizer.update(model, gradients)
    """
    command.write(place, training.HEAD + textwrap.dedent(body))
    done = command.forensics(place, "capture", "--no-reload", "--", sys.executable, "train.py")
    assert done.status == 0, done.err
    told = bench.transplant(done.store, "train@start", "train@end")
    assert told.smallest and all("lora_" in name for name in told.smallest), told


@pytest.mark.parametrize(("word", "error"), [("./empty", UsageError), ("nothing", UnknownRef)])
def test_what_is_no_model_is_refused(
    tmp_path: Path, word: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(error):
        bench.transplant(Store(tmp_path / "store"), word, "./empty")


def test_the_command_says_what_is_enough_and_gives_the_document(tmp_path: Path) -> None:
    a = tiny.build(tmp_path / "a", layers=3)
    b = changed(a, tmp_path / "b", lambda weights: weights.update({HEAD: -3 * weights[HEAD]}))
    told = command.forensics(tmp_path, "prove", "--transplant", "./a", "./b")
    assert told.status == 0 and "This 1 of 39 tensors is enough." in told.out and HEAD in told.out, told.err
    document = json.loads(command.forensics(tmp_path, "prove", "--transplant", "./a", "./b", "--json").out)
    assert document["smallest"] == [HEAD] and document["complete"] and b.is_dir()
    alike = command.forensics(tmp_path, "prove", "--transplant", "./a", "./a")
    assert alike.status == 0 and "nothing to move" in alike.out
    lone = command.forensics(tmp_path, "prove", "--transplant", "./a")
    assert lone.status == 2 and "two" in lone.err
