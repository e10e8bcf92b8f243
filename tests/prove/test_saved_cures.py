"""Cures of what was fused and saved, and of functions of mlx that a program calls: each on its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pytest
from mlx_lm.tuner.dora import DoRALinear
from mlx_lm.tuner.lora import LoRAEmbedding, LoRALinear

from forensics.watch.cures import (
    attention_not_causal,
    config_lost,
    gradient_wrong,
    leftover_weights,
    reload_mismatch,
    saved_untrained,
    weights_permuted,
)
from forensics.watch.repeat import adapters, fused, request, saves, updates


@pytest.fixture(autouse=True)
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The cures that said that they acted."""
    found: list[str] = []
    monkeypatch.setattr(request, "acted", lambda name, what: found.append(name))
    yield found


def layer(kind: type, inner: Any) -> Any:
    made = kind.from_base(inner, r=4, scale=3.0)  # type: ignore[attr-defined]
    made.lora_b = mx.random.normal(made.lora_b.shape, key=mx.random.key(1))
    return made


def packed() -> Any:
    return layer(LoRALinear, nn.QuantizedLinear.from_linear(nn.Linear(64, 32, bias=False), 32, 4))


LAYERS: dict[str, Callable[[], Any]] = {
    "linear": lambda: layer(LoRALinear, nn.Linear(32, 32, bias=False)),
    "wide": lambda: layer(LoRALinear, nn.Linear(32, 48, bias=False)),
    "embedding": lambda: layer(LoRAEmbedding, nn.Embedding(32, 32)),
    "quantized": packed,
}


def of(kind: str) -> fused.Kept:
    made = LAYERS[kind]()
    return fused.Kept(made, made.embedding if kind == "embedding" else made.linear)


@pytest.mark.parametrize("kind", LAYERS)
def test_an_update_as_mlx_lm_fuses_it(kind: str) -> None:
    """Nothing of it in the weights, all of it twice: either becomes what mlx-lm's own fuse gives."""
    kept = of(kind)
    right = kept.layer.fuse(**({"dequantize": True} if kind == "quantized" else {})).weight
    base, update = kept.base(), kept.update()
    for wrong in (base, base + 2 * update):
        assert mx.abs(wrong - right).max().item() > 0.1, "there is a fault"
        assert mx.allclose(fused._exact(wrong, kept, lambda share: True), right, atol=1e-5).item()
        assert fused._exact(wrong, kept, lambda share: False) is None
    assert fused._exact(right, kept, lambda share: True) is None, "without the fault it stays as it is"
    assert fused._exact(right.astype(mx.bfloat16), kept, lambda share: True) is None, "rounding is no fault"


def test_factors_the_other_way() -> None:
    """A layer of the program's own may hold its factors as PEFT does."""
    kept = of("wide")
    right = kept.update()
    kept.layer.lora_a, kept.layer.lora_b = kept.layer.lora_a.T, kept.layer.lora_b.T
    assert mx.allclose(kept.update(), right).item()


def test_a_magnitude_is_left_alone() -> None:
    made = layer(DoRALinear, nn.Linear(32, 48, bias=False))
    assert fused.Kept(made, nn.Linear(32, 48, bias=False)).update() is None


@pytest.mark.parametrize("mask", ["none", "boolean", "added", "padding"])
def test_nobody_sees_what_comes_after(mask: str, said: list[str]) -> None:
    q = mx.random.normal((2, 2, 6, 8), key=mx.random.key(0))
    places = mx.arange(6)
    masks = {
        "none": None,
        "boolean": mx.ones((6, 6), mx.bool_),
        "added": mx.zeros((6, 6)),
        "padding": (places < 6)[None, None, None],
    }
    attend = mx.fast.scaled_dot_product_attention
    cured = attention_not_causal._causal(attend)
    right = attend(q, q, q, scale=1.0, mask="causal")
    assert not mx.allclose(attend(q, q, q, scale=1.0, mask=masks[mask]), right).item(), "there is a fault"
    assert mx.allclose(cured(q, q, q, scale=1.0, mask=masks[mask]), right, atol=1e-5).item()
    assert said == ["attention-not-causal"]
    below = places[:, None] >= places[None]
    for healthy in ("causal", below, mx.where(below, 0.0, -mx.inf)):
        assert mx.allclose(cured(q, q, q, scale=1.0, mask=healthy), right, atol=1e-6).item()
    some = q[:, :, -3:]  # several tokens at once, with a cache behind them
    assert mx.allclose(cured(some, q, q, scale=1.0), right[:, :, -3:], atol=1e-5).item()
    assert mx.allclose(
        cured(some, q, q, scale=1.0, mask=mx.ones((3, 6), mx.bool_)), right[:, :, -3:], atol=1e-5
    ).item()
    one = q[:, :, -1:]  # an answer's next token, with a cache behind it
    assert mx.array_equal(cured(one, q, q, scale=1.0), attend(one, q, q, scale=1.0)).item()


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (5, 2)])
def test_a_convolution_sees_what_comes_before(kernel: int, dilation: int, said: list[str]) -> None:
    x = mx.random.normal((2, 9, 4), key=mx.random.key(0))
    weight = mx.random.normal((4, kernel, 1), key=mx.random.key(1))
    both = dilation * (kernel - 1) // 2
    cured = attention_not_causal._behind(mx.conv1d)
    right = mx.conv1d(mx.pad(x, [(0, 0), (2 * both, 0), (0, 0)]), weight, 1, 0, dilation, 4)
    assert not mx.allclose(mx.conv1d(x, weight, 1, both, dilation, 4), right).item(), "there is a fault"
    assert mx.array_equal(cured(x, weight, 1, both, dilation, 4), right).item()
    assert mx.array_equal(cured(x, weight, padding=both, dilation=dilation, groups=4), right).item()
    assert said == ["attention-not-causal"] * 2
    healthy = mx.pad(x, [(0, 0), (2 * both, 0), (0, 0)])
    assert mx.array_equal(cured(healthy, weight, 1, 0, dilation, 4), right).item()
    assert mx.array_equal(cured(x, weight, 2, both, 1, 4), mx.conv1d(x, weight, 2, both, 1, 4)).item()
    assert said == ["attention-not-causal"] * 2, "what is padded in front alone, or shortens the row, stays"


def test_a_backward_pass_of_its_own(said: list[str]) -> None:
    @gradient_wrong._Plain
    def capped(x: mx.array) -> mx.array:
        return 8.0 * mx.tanh(x / 8.0)

    @capped.vjp
    def _(primals: Any, cotangent: Any, output: Any) -> Any:
        return cotangent

    x = mx.array([1.0, 20.0])
    slope = mx.grad(lambda x: capped(x).sum())(x)
    assert mx.allclose(slope, 1 - mx.tanh(x / 8.0) ** 2).item() and said == ["gradient-wrong"]


def weights(path: Path, age: int, *names: str) -> None:
    mx.save_safetensors(str(path), {name: mx.zeros(1) for name in names})
    os.utime(path, (1_000_000 - age, 1_000_000 - age))


def test_files_of_an_earlier_save(tmp_path: Path, said: list[str]) -> None:
    weights(tmp_path / "model-00001-of-00002.safetensors", 9, "a", "b")
    weights(tmp_path / "model-00002-of-00002.safetensors", 9, "c")
    weights(tmp_path / "model.safetensors", 0, "a", "b", "c")
    weights(tmp_path / "adapters.safetensors", 9, "a")
    leftover_weights.cleared(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "adapters.safetensors"}
    assert said


def test_shards_of_one_save_stay(tmp_path: Path, said: list[str]) -> None:
    weights(tmp_path / "model-00001-of-00002.safetensors", 1, "a", "b")
    weights(tmp_path / "model-00002-of-00002.safetensors", 0, "c")
    leftover_weights.cleared(str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2 and not said


def test_settings_that_were_left_out(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = {"rope_theta": 5e5, "vocab_size": 9, "quantization": {"bits": 4}}
    (tmp_path / "model").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(trained))
    written = tmp_path / "out" / "config.json"
    monkeypatch.setattr(config_lost, "_from", [str(tmp_path / "model")])
    written.write_text(json.dumps({"vocab_size": 9, "base": 5e5}))
    config_lost.completed(str(tmp_path / "out"))
    # how the weights are packed is the saved file's own
    assert json.loads(written.read_text()) == {"vocab_size": 9, "base": 5e5, "rope_theta": 5e5}
    assert said == ["config-lost"]
    config_lost.completed(str(tmp_path / "out"))
    assert said == ["config-lost"], "what is whole stays as it is"


def test_the_head_that_the_model_has(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps({"tie_word_embeddings": False, "eps": 1}))
    (tmp_path / "config.json").write_text(json.dumps({"tie_word_embeddings": True, "eps": 2}))
    monkeypatch.setattr(config_lost, "_from", [str(tmp_path / "model")])
    reload_mismatch.untied(str(tmp_path))
    written = json.loads((tmp_path / "config.json").read_text())
    assert written == {"tie_word_embeddings": False, "eps": 2} and said == ["reload-mismatch"]


def test_a_scale_that_is_written_beside_an_adapter(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = nn.Sequential(layer(LoRALinear, nn.Linear(8, 8)))
    monkeypatch.setattr(updates, "trained", lambda: model)
    path = tmp_path / adapters.FILE
    path.write_text(json.dumps({"lora_parameters": {"scale": 0.0}}))
    for _ in range(2):
        adapters.write_scale("lora-inert", str(tmp_path))
        assert json.loads(path.read_text()) == {"lora_parameters": {"scale": 3.0}} and said == ["lora-inert"]


def test_values_in_another_order() -> None:
    right = mx.arange(6.0).reshape(2, 3)
    own = {"a": right, "b": right}
    saved = {"a": right[:, ::-1], "b": right}
    mended = weights_permuted.ordered(saved, own)
    assert all(mx.array_equal(mended[name], right).item() for name in own)
    assert weights_permuted.ordered(own, own) is own
    other = {"a": right + 1, "b": right}
    assert weights_permuted.ordered(other, own) is other, "other values are another fault"


def test_each_save_that_is_wrong_has_one_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of before training, of before the last update, and of no state at all: three faults of one file."""
    start, between, now = ({"w": mx.full((2,), float(n))} for n in range(3))
    monkeypatch.setattr(saves, "_begun", start)
    untrained, early, other = dict(start), dict(between), {"w": mx.full((2,), 7.0)}
    monkeypatch.setattr(saves, "_held", {id(untrained): between, id(early): between, id(other): between})
    cured = {
        name: [function(each, now) is not each for each in (untrained, early, other)]
        for name, function in (("untrained", saved_untrained.trained), ("mismatch", reload_mismatch.alike))
    }
    assert cured == {"untrained": [True, False, False], "mismatch": [False, False, True]}
    assert reload_mismatch.alike(other, now) == now
