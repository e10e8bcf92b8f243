"""Cures of the model before training.

The faulty one becomes its healthy twin, and the healthy one stays as it is.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import mlx.core as mx
import pytest
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers

from forensics.watch.repeat import request
from tests.prove.lessons import Rows

KEYS = ["self_attn.q_proj", "self_attn.v_proj"]
LORA = {"rank": 4, "scale": 10.0, "dropout": 0.0}
FACTS = {"adapter": {"kind": "lora", "num_layers": 2, "keys": KEYS, **LORA}}


@pytest.fixture(autouse=True)
def facts() -> Iterator[None]:
    held, request.watch.options = request.watch.options, {"repeat": {"facts": FACTS}}
    yield
    request.watch.options = held


def base() -> Any:
    return Rows().model


def adapted(layers: int = 2, keys: list[str] = KEYS) -> Any:
    model = base()
    model.freeze()
    linear_to_lora_layers(model, layers, {**LORA, "keys": keys})
    return model


def unmatched() -> Any:
    model = base()
    model.freeze()
    return model


def nested() -> Any:
    from mlx_lm.tuner.lora import LoRALinear

    model = adapted()
    for layer in model.layers:
        outer = layer.self_attn.q_proj
        outer.linear = LoRALinear.from_base(outer.linear, r=4, scale=10.0)
    return model


def scaled() -> Any:
    model = adapted()
    for layer in model.layers:
        layer.self_attn.q_proj.scale = 1.0
    return model


def started() -> Any:
    model = adapted()
    for layer in model.layers:
        layer.self_attn.q_proj.lora_b = mx.ones_like(layer.self_attn.q_proj.lora_b)
    return model


def frozen() -> Any:
    model = adapted()
    model.freeze()
    return model


def half_frozen() -> Any:
    model = adapted()
    for layer in model.layers:
        layer.self_attn.q_proj.freeze(keys=["lora_a"], recurse=False)
    return model


def beside() -> Any:
    model = adapted()
    model.model.norm.unfreeze()
    model.layers[0].mlp.unfreeze()
    return model


def still() -> Any:
    model = adapted()
    for layer in model.layers:
        layer.self_attn.q_proj.scale = 0.0
    return model


FAULTS: dict[str, Callable[[], Any]] = {
    "lora-missing": base,
    "lora-partial": lambda: adapted(1),
    "lora-nested": nested,
    "lora-scale-mismatch": scaled,
    "lora-starts-nonzero": started,
    "nothing-trainable": frozen,
    "adapter-partly-frozen": half_frozen,
    "base-not-frozen": beside,
    "lora-inert": still,
}


def cure(name: str, model: Any) -> str | None:
    module = importlib.import_module(f"forensics.watch.cures.{name.replace('-', '_')}")
    function = next(
        value
        for key, value in vars(module).items()
        if callable(value) and value.__module__ == module.__name__ and key not in ("install", "kept")
    )
    return function(model)


def outline(model: Any) -> tuple[Any, ...]:
    """Names, shapes and trainables, the scales in force, and what the model says."""
    parameters = {name: array.shape for name, array in tree_flatten(model.parameters())}
    trained = sorted(name for name, _ in tree_flatten(model.trainable_parameters()))
    scales = [each.scale for _, each in model.named_modules() if "lora_a" in each]
    return parameters, trained, scales, model(mx.array([[1, 2, 3]])).tolist()


@pytest.mark.parametrize("name", FAULTS)
def test_the_healthy_twin(name: str) -> None:
    model = FAULTS[name]()
    assert outline(model) != outline(adapted()), "there is a fault"
    assert cure(name, model)
    assert outline(model) == outline(adapted())


@pytest.mark.parametrize("name", FAULTS)
def test_a_healthy_model_stays_as_it_is(name: str) -> None:
    model = adapted()
    before = {key: array.tolist() for key, array in tree_flatten(model.parameters())}, outline(model)
    assert cure(name, model) is None
    assert (
        {key: array.tolist() for key, array in tree_flatten(model.parameters())},
        outline(model),
    ) == before


def test_keys_that_match_nothing() -> None:
    """Without them the adapter stands where mlx-lm's own default puts it."""
    model = unmatched()
    assert cure("lora-target-unmatched", model)
    names = [name for name, _ in tree_flatten(model.trainable_parameters())]
    assert names and all("lora" in name for name in names)


def test_a_first_factor_of_nothing() -> None:
    model = adapted()
    for layer in model.layers:
        layer.self_attn.q_proj.lora_a = mx.zeros_like(layer.self_attn.q_proj.lora_a)
    assert cure("lora-inert", model)
    assert all((layer.self_attn.q_proj.lora_a != 0).any().item() for layer in model.layers)
    assert outline(model)[2:] == outline(adapted())[2:], "it says what it said: the second factor is 0"


def test_scales_of_quantized_weights() -> None:
    import mlx.nn as nn

    def packed() -> Any:
        model = base()
        nn.quantize(model, group_size=32, bits=4)
        model.freeze()
        linear_to_lora_layers(model, 2, {**LORA, "keys": KEYS})
        return model

    model = packed()
    model.layers[0].self_attn.q_proj.linear.unfreeze(keys=["scales", "biases"])
    names = set(dict(tree_flatten(model.trainable_parameters())))
    assert any(name.endswith("scales") for name in names)
    assert cure("quantization-parameters-changed", model)
    wanted = set(dict(tree_flatten(packed().trainable_parameters())))
    assert set(dict(tree_flatten(model.trainable_parameters()))) == wanted
    assert cure("quantization-parameters-changed", packed()) is None


@pytest.mark.parametrize("kind", ["LoRALinear", "DoRALinear", "LoRAEmbedding"])
@pytest.mark.parametrize("scale", [7.0, -10.0, 0.0, 10.0])
def test_a_fuse_by_another_scale(kind: str, scale: float) -> None:
    """The fused weights are those of the declared scale, and the layer keeps the scale that it had."""
    import mlx.nn as nn
    from mlx_lm.tuner import dora, lora

    from forensics.watch.cures.fuse_wrong import _exact

    cls = getattr(dora if kind.startswith("DoRA") else lora, kind)
    inner = nn.Embedding(6, 8) if kind.endswith("Embedding") else nn.Linear(8, 6)
    layer = cls.from_base(inner, r=4, scale=10.0)
    layer.lora_b = mx.random.normal(layer.lora_b.shape, key=mx.random.key(1))
    healthy = layer.fuse().weight
    layer.scale = scale
    assert (scale == 10.0) == bool(mx.array_equal(layer.fuse().weight, healthy).item()), "there is a fault"
    assert mx.array_equal(_exact(cls.fuse)(layer).weight, healthy).item()
    assert layer.scale == scale


def test_a_conversion_between_two_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    from forensics.watch.cures import lora_nested

    monkeypatch.setattr(request, "acted", lambda name, what: None)
    convert = lora_nested._converted(linear_to_lora_layers)
    model = base()
    model.freeze()
    convert(model, 2, LORA)
    once = outline(model)[:3]
    linear_to_lora_layers(model, 2, LORA)
    assert outline(model)[:3] != once, "there is a fault"
    convert(model, 2, LORA)
    assert outline(model)[:3] == once
