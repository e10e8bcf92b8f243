"""What a model says of its own first batch.

Right models of many makes are clean, broken ones are not, and both are as before.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pytest
from mlx.utils import tree_flatten
from mlx_lm.utils import _get_classes

from forensics.watch.models import Model
from forensics.watch.training import backward, firstbatch, gradcheck, selftest
from forensics.watch.training.firstbatch import Call

ROWS = [
    [5, 9, 20, 31, 44, 7, 18, 25, 39, 12, 50, 61],
    [8, 30, 22, 17, 6, 41, 53, 10, 33, 28, 15, 2],
    [11, 14, 27, 36, 45, 19, 2, 0, 0, 0, 0, 0],
    [21, 16, 60, 13, 38, 24, 47, 58, 2, 0, 0, 0],
]


@pytest.fixture(autouse=True, params=[0])
def _seed(request: pytest.FixtureRequest) -> None:
    """The weights of a test's model are the same in each run."""
    mx.random.seed(request.param)


class Small(nn.Module):
    """One block of attention; `mask` and `mix` break it."""

    def __init__(self, mask: Any = "causal", mix: Callable[[Any], Any] = lambda x: x) -> None:
        super().__init__()
        self.embed, self.norm, self.place = nn.Embedding(64, 32), nn.RMSNorm(32), nn.Embedding(16, 32)
        self.qkv, self.out = nn.Linear(32, 96), nn.Linear(32, 64)
        self._mask, self._mix = mask, mix

    def __call__(self, ids: Any) -> Any:
        x = self.norm(self.embed(ids) + self.place(mx.arange(ids.shape[1])))
        q, k, v = (
            part.reshape(*ids.shape, 4, 8).transpose(0, 2, 1, 3) for part in mx.split(self.qkv(x), 3, axis=-1)
        )
        mask = self._mask(ids) if callable(self._mask) else self._mask
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=0.35, mask=mask)
        return self.out(self._mix(x + y.transpose(0, 2, 1, 3).reshape(*ids.shape, 32)))


def asked(
    model: Any, rows: list[list[int]] = ROWS, taught: Any = None
) -> tuple[list[float], list[float], Any]:
    """(causality, rows, the whole) of a model on these rows; `taught`: the weight of each position."""
    ids = mx.array(rows)
    call = Call(Model("m0", model), weakref.ref(model), ((ids,), {}), 0, ids)
    target = [[*row[1:], row[-1]] for row in rows]
    weight = taught or [[float(token != 0) for token in row] for row in target]
    part = selftest.cut(rows, target, weight, [[0.0] * len(row) for row in rows], True)
    whole = selftest.Check(call, part, 60.0)
    return selftest.causality(whole), selftest.independence(whole), whole


def clean(model: Any, **more: Any) -> bool:
    causal, rows, whole = asked(model, **more)
    return min(causal) <= whole.rounding and max(rows) <= whole.rounding


@functools.cache
def made(name: str) -> Any:
    """A random model of mlx-lm's, as `type`, `type-dtype` or `type-4bit`."""
    mx.random.seed(3)
    model_type, _, more = name.partition("-")
    config = {
        "model_type": model_type, "hidden_size": 32, "num_hidden_layers": 3, "intermediate_size": 64,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "rms_norm_eps": 1e-6,
        "vocab_size": 64, "rope_theta": 10000.0, "max_position_embeddings": 512, "tie_word_embeddings": True,
        "query_pre_attn_scalar": 8, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
    }  # fmt: skip
    kind, arguments = _get_classes(config)
    model = kind(arguments.from_dict(config))
    if more == "4bit":
        nn.quantize(model, group_size=32, bits=4)
    elif more:
        model.set_dtype(getattr(mx, more))
    mx.eval(model.parameters())
    return model


def test_what_is_later_and_what_is_beside_are_asked_by_the_same_two_forwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One forward, the same again, the same with rounding; then two, each with every other row changed."""
    forwards: list[Any] = []
    original = selftest.Check.forward

    def counted(self: Any, ids: Any, moved: bool = False) -> Any:
        forwards.append(ids)
        return original(self, ids, moved)

    monkeypatch.setattr(selftest.Check, "forward", counted)
    causal, rows, _ = asked(Small())
    assert len(forwards) == 5 and len(causal) == len(rows) == len(forwards[0]) == 2
    assert [len({*a} - {*b}) > 0 for a, b in zip(forwards[3], forwards[0], strict=True)] == [False, True]


KINDS = (
    "qwen2",
    "llama-bfloat16",
    "llama-float16",
    "llama-4bit",
    "gemma",
    "gemma2",
    "mixtral",
    "phi3",
    "qwen3",
)


@pytest.mark.parametrize("name", KINDS)
def test_models_of_the_library_are_clean(name: str) -> None:
    model = made(name)
    model.train()
    before = dict(tree_flatten(model.parameters()))
    state = mx.random.state[0].tolist()
    assert clean(model)
    assert all(array is before[path] for path, array in tree_flatten(model.parameters()))
    assert model.training and mx.random.state[0].tolist() == state


def test_left_padding_and_masked_prompts_are_clean() -> None:
    left = [[0] * (12 - len(body)) + body for body in ([t for t in row if t] for row in ROWS)]
    weight = [[float(5 <= i < 11) for i in range(12)] for _ in left]

    def padded(ids: Any) -> Any:
        return (mx.tri(12, dtype=mx.bool_)[None] & (ids != 0)[:, None])[:, None] | mx.eye(12, dtype=mx.bool_)

    assert clean(Small(padded), rows=left, taught=weight)
    assert clean(Small(), rows=left, taught=weight)


def test_a_prefix_that_is_seen_whole_is_clean_where_the_answer_alone_is_taught() -> None:
    prefix = mx.tri(12, dtype=mx.bool_) | (mx.arange(12) < 5)
    weight = [[float(5 <= i < 11) for i in range(12)] for _ in ROWS[:2]]
    assert clean(Small(prefix), rows=ROWS[:2], taught=weight)
    causal, _, whole = asked(Small(prefix), rows=ROWS[:2], taught=[[1.0] * 4 + [0.0] * 8] * 2)
    assert min(causal) > whole.rounding, "the same model, taught its prefix, sees what it is taught"


def test_packed_rows_and_statistics_of_training_are_clean() -> None:
    pieces = mx.cumsum(mx.array([0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]))
    assert clean(Small(mx.tri(12, dtype=mx.bool_) & (pieces[:, None] == pieces)))
    norm = nn.BatchNorm(32)
    model = Small(mix=norm)
    model.norm2 = norm
    mean = norm.running_mean
    assert clean(model)
    assert norm.running_mean is mean


@pytest.mark.parametrize("mask", [None, mx.tri(12, k=1, dtype=mx.bool_)], ids=["none", "one too far"])
@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16])
def test_a_missing_mask_is_seen(mask: Any, dtype: Any) -> None:
    model = Small(mask)
    model.set_dtype(dtype)
    causal, rows, whole = asked(model)
    assert min(causal) > whole.rounding
    assert max(rows) <= whole.rounding


MIXED = {
    "mean": lambda x: x - x.mean(axis=0),
    "the row before": lambda x: x + 0.5 * mx.roll(x, 1, axis=0),
    "one sequence": lambda x: mx.cumsum(x.reshape(-1, 32), axis=0).reshape(x.shape),
}


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16])
def test_rows_that_are_mixed_are_seen(name: str, dtype: Any) -> None:
    model = Small(mix=MIXED[name])
    model.set_dtype(dtype)
    _, rows, whole = asked(model)
    assert max(rows) > whole.rounding
    assert selftest.design(model) is None


class Experts(nn.Module):
    """As a program writes them: which take what, and one weight for all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.choose = nn.Linear(32, 4)
        self.weight = mx.zeros((4, 32, 32))


def test_experts_of_the_program_may_mix_rows_on_purpose_and_those_of_the_library_do_not() -> None:
    model = Small()
    assert selftest.design(model) is None
    model.experts = Experts()
    assert selftest.design(model) == "experts"
    assert selftest.design(made("mixtral")) is None


def test_a_mean_over_the_batch_is_seen_beside_the_experts_of_the_library() -> None:
    model = made("mixtral")
    model.model.norm = Mean()
    _, rows, whole = asked(model)
    assert max(rows) > whole.rounding and selftest.design(model) is None


class Mean(nn.Module):
    def __call__(self, x: Any) -> Any:
        return x * mx.rsqrt(mx.mean(x * x, axis=(0, 2), keepdims=True) + 1e-6)


@mx.custom_function
def damped(x: Any) -> Any:
    return x * 1.0


@damped.vjp
def _(primals: Any, cotangent: Any, output: Any) -> Any:
    return cotangent * 0.3


LOSSES: dict[str, tuple[Callable[[Any], Any], float]] = {
    "as it is": (lambda z: z, 1.0),
    "dropout": (nn.Dropout(0.3), 1.0),
    "a wrong vjp": (damped, 1 / 0.3),
    "half held constant": (lambda z: z - 0.5 * mx.stop_gradient(z), 0.5),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_gradient_is_held_against_its_loss(name: str) -> None:
    """The ratio is exact, the draws are those of the program's own call, and nothing is left changed."""
    change, ratio = LOSSES[name]
    model, ids = Small(), mx.array(ROWS)
    mx.eval(model.parameters())

    def loss(parameters: Any, rows: Any) -> Any:
        model.update(parameters)
        return nn.losses.cross_entropy(change(model(rows[:, :-1])), rows[:, 1:]).mean()

    before, theta = gradcheck.Before.now(), model.trainable_parameters()
    value, grads = mx.value_and_grad(loss)(theta, ids)
    mx.eval(value, grads)
    held, state = dict(tree_flatten(model.parameters())), mx.random.state[0].tolist()
    told = gradcheck.compare(
        gradcheck.DirectionalLoss(model, loss, ((theta, ids), {}), grads, before), value.item()
    )
    assert abs(told["ratio"] - ratio) <= told["ratio_error"] <= 0.05 * max(1, ratio)
    assert mx.random.state[0].tolist() == state
    assert all(array is held[path] for path, array in tree_flatten(model.parameters()))


@pytest.mark.parametrize("_seed", range(8), indirect=True)
def test_a_loss_that_is_another_each_time_says_nothing_of_its_gradient() -> None:
    model, ids, count = Small(), mx.array(ROWS), iter(range(100))

    def loss(parameters: Any, rows: Any) -> Any:
        model.update(parameters)
        return nn.losses.cross_entropy(model(rows[:, :-1]), rows[:, 1:]).mean() * (1 + 0.01 * next(count))

    before, theta = gradcheck.Before.now(), model.trainable_parameters()
    value, grads = mx.value_and_grad(loss)(theta, ids)
    asked = gradcheck.DirectionalLoss(model, loss, ((theta, ids), {}), grads, before)
    with pytest.raises(selftest.NotRunError, match="when it is called again"):
        gradcheck.compare(asked, value.item())


@pytest.mark.parametrize("shift", [0, 2])
def test_a_loss_that_teaches_other_tokens_is_not_asked(shift: int) -> None:
    targets = [row[shift:] + row[:shift] for row in ROWS]
    ones, none = [[1.0] * 12 for _ in ROWS], [[0.0] * 12 for _ in ROWS]
    with pytest.raises(selftest.NotRunError, match="does not teach each token"):
        selftest.cut(ROWS, targets, ones, none, True)


def _own(derivative: Callable[[Any], Any], forward: Callable[[Any], Any] = nn.silu) -> Any:
    made = mx.custom_function(forward)
    made.vjp(lambda primals, cotangent, output: cotangent * derivative(primals))
    return made


def _slope(x: Any) -> Any:
    return mx.sigmoid(x) * (1 + x * (1 - mx.sigmoid(x)))


def _rounded(x: Any) -> Any:
    return mx.round(4 * x) / 4


PASSES: dict[str, tuple[Any, bool | str | None]] = {
    "none of its own": (nn.silu, None),
    "right": (_own(_slope), False),
    "checkpointed": (mx.checkpoint(nn.silu), False),
    "a term left out": (_own(lambda x: x * mx.sigmoid(x) * (1 - mx.sigmoid(x))), True),
    "straight through": (_own(mx.ones_like, _rounded), "rounds"),
    "a step": (_own(lambda x: 1 / (1 + 9.8 * x * x), lambda x: (x > 9).astype(mx.float32)), "jumps"),
    "turned": (_own(lambda x: -mx.ones_like(x), lambda x: x), "alone"),
    "held constant": (lambda x: _own(_slope)(x) + mx.stop_gradient(x), "constant"),
}


@pytest.mark.parametrize("name", PASSES)
def test_a_backward_pass_of_the_models_own_is_held_against_its_forward(name: str) -> None:
    mix, wrong = PASSES[name]
    model = Small(mix=mix)
    mx.eval(model.parameters())
    held, state = dict(tree_flatten(model.parameters())), mx.random.state[0].tolist()
    whole = asked(model)[2]
    if isinstance(wrong, str):
        with pytest.raises(selftest.NotRunError, match=wrong):
            backward.compare(whole)
    else:
        told = backward.compare(whole)
        off = None if told is None else abs(told["ratio"] - 1) > max(told["ratio_error"], 0.05)
        assert off is wrong
    assert mx.random.state[0].tolist() == state and model.training
    assert all(array is held[path] for path, array in tree_flatten(model.parameters()))


class Packed(Small):
    """Texts that share rows: beside the ids it is handed the text that each entry is of; `cast` the mask."""

    def __init__(self, cast: Any) -> None:
        super().__init__()
        self._cast = cast

    def __call__(self, kinds: Any, ids: Any = None) -> Any:
        seen = (kinds[:, :, None] == kinds[:, None, :]) & mx.tri(kinds.shape[1], dtype=mx.bool_)
        self._mask = seen[:, None].astype(self._cast)
        return super().__call__(ids)


@pytest.mark.parametrize("cast", [mx.bool_, mx.float32])
def test_of_several_arrays_those_are_the_ids_whose_next_entries_are_taught(cast: Any) -> None:
    """A mask of ones and zeros that is added hides nothing; the same mask as booleans does."""
    model, ids = Packed(cast), mx.array(ROWS)
    kinds = mx.array([[1] * 6 + [2] * 6] * len(ROWS))
    target = mx.concatenate([ids[:, 1:], ids[:, -1:]], 1)
    told = {"target": target, "weight": (target != 0).astype(mx.float32)}
    call = Call(Model("m0", model), weakref.ref(model), ((kinds, ids), {}), 0, kinds)
    firstbatch.choose(call, told)
    assert (call.place, call.why) == (1, "")
    part = selftest.cut(
        ROWS, target.tolist(), told["weight"].tolist(), mx.zeros(ids.shape).tolist(), call.bare
    )
    whole = selftest.Check(call, part, 60.0)
    assert (min(selftest.causality(whole)) > whole.rounding) == (cast == mx.float32)
    assert max(selftest.independence(whole)) <= whole.rounding


def test_several_arrays_that_the_targets_do_not_tell_apart() -> None:
    model, ids = Packed(mx.bool_), mx.array(ROWS)
    call = Call(Model("m0", model), weakref.ref(model), ((ids, ids), {}), 0, ids)
    firstbatch.choose(call, {"target": ids * 0, "weight": mx.ones(ids.shape)})
    assert "several arrays" in call.why
