"""Cures of updates: the faulty training with its cure ends with the healthy one's parameters."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import pytest
from mlx.utils import tree_flatten, tree_map, tree_unflatten

from forensics.watch.cures import base_not_frozen
from forensics.watch.moments import Moments
from forensics.watch.repeat import request, updates
from tests.prove.lessons import Rows, mean

STEPS = 3


@pytest.fixture(autouse=True)
def surface(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request.watch, "options", {"repeat": {"facts": {}}})
    monkeypatch.setattr(updates, "_before", [])
    monkeypatch.setattr(updates, "_after", [])
    monkeypatch.setattr(base_not_frozen, "_frozen", set())
    for name, make in (("update", updates._update), ("apply_gradients", updates._apply)):
        monkeypatch.setattr(optim.Optimizer, name, make(getattr(optim.Optimizer, name)))


def put_in(name: str, **facts: Any) -> None:
    request.watch.options["repeat"]["facts"] = facts
    importlib.import_module(f"forensics.watch.cures.{name.replace('-', '_')}").install(Moments())


class Training:
    """Some steps of a tiny model; parts of it can be replaced by faulty ones."""

    def __init__(
        self,
        adapter: bool = False,
        dtype: Any = mx.float32,
        make: Callable[[], Any] = lambda: optim.SGD(0.1),
        free: bool = False,
    ) -> None:
        self.rows = Rows(dtype)
        self.model, self.make = self.rows.model, make
        if adapter:
            from mlx_lm.tuner.utils import linear_to_lora_layers

            self.model.freeze()
            linear_to_lora_layers(self.model, 2, {"rank": 4, "scale": 10.0, "dropout": 0.0})
        if free:
            self.model.unfreeze()

    def run(
        self,
        *,
        every: bool = False,
        change: Callable[[Any], Any] = lambda grads: grads,
        again: bool = False,
        parts: int = 1,
        steps: int = STEPS,
    ) -> dict[str, Any]:
        """Train with some of the circumstances changed.

        `every`: differentiate all parameters, frozen ones too; `again`: a new optimizer at each step;
        `parts`: gradients summed.
        """
        rows, model, optimizer = self.rows, self.model, self.make()

        def loss(m: Any) -> Any:
            return mean(nn.losses.cross_entropy(m(rows.x[:, :-1]), rows.x[:, 1:]), rows.real)

        def of(parameters: Any) -> Any:
            model.update(parameters)
            return loss(model)

        for _ in range(steps):
            if again:
                optimizer = self.make()
            grads = mx.grad(of)(model.parameters()) if every else nn.value_and_grad(model, loss)(model)[1]
            optimizer.update(model, change(tree_map(lambda g: g * parts, grads)))
            mx.eval(model.parameters(), optimizer.state)
        return dict(tree_flatten(model.parameters()))


def alike(a: dict[str, Any], b: dict[str, Any], most: float = 1e-6) -> bool:
    return list(a) == list(b) and all(
        x.dtype == b[n].dtype and bool(mx.allclose(x, b[n], rtol=most, atol=most).item())
        for n, x in a.items()
    )


def _decayed() -> Any:
    return optim.AdamW(1e-2, weight_decay=0.5)


def _poisoned(grads: Any) -> Any:
    return tree_map(lambda g: g * mx.array(float("nan")), grads)


def test_beside_an_adapter() -> None:
    healthy = Training(adapter=True).run()
    faulty = Training(adapter=True).run(every=True)
    assert not alike(Training(adapter=True, free=True).run(), healthy), "there is a fault"
    put_in("base-not-frozen")
    assert alike(Training(adapter=True, free=True).run(), healthy)
    assert alike(Training(adapter=True).run(every=True), faulty), "frozen tensors that move are another fault"


def test_outside_the_trainable_set() -> None:
    healthy = Training(adapter=True).run()
    put_in("frozen-but-changed")
    assert alike(Training(adapter=True).run(every=True), healthy)


def test_what_no_gradient_reaches() -> None:
    start = dict(tree_flatten(Rows().model.parameters()))
    nothing = {"change": lambda grads: tree_map(mx.zeros_like, grads)}
    assert not alike(Training(make=_decayed).run(**nothing), start), "there is a fault"
    put_in("uniform-decay")
    assert alike(Training(make=_decayed).run(**nothing), start)


def test_a_rate_of_zero() -> None:
    healthy = Training().run()
    put_in("learning-rate-zero", rate=0.1)
    assert alike(Training(make=lambda: optim.SGD(0.0)).run(), healthy)
    assert alike(Training(make=lambda: optim.SGD(optim.linear_schedule(0.0, 0.0, 100))).run(), healthy)


def test_a_rate_of_zero_where_nothing_says_which_was_meant() -> None:
    start = dict(tree_flatten(Rows().model.parameters()))
    put_in("learning-rate-zero", rate=None, still=False)
    assert alike(Training(make=lambda: optim.SGD(0.0)).run(), start), "a rate that is not 0 is left alone"
    put_in("learning-rate-zero", rate=None, still=True)
    assert alike(Training(make=lambda: optim.SGD(0.0)).run(), Training(make=lambda: optim.SGD(1e-4)).run())
    assert not alike(Training(make=lambda: optim.SGD(0.0)).run(), start)


def test_summed_gradients() -> None:
    healthy = Training().run()
    assert not alike(Training().run(parts=4), healthy), "there is a fault"
    put_in("accumulation-mismatch", summed=4)
    assert alike(Training().run(parts=4), healthy)


def test_an_optimizer_begun_again() -> None:
    healthy = Training(make=lambda: optim.Adam(1e-2)).run()
    assert not alike(Training(make=lambda: optim.Adam(1e-2)).run(again=True), healthy), "there is a fault"
    put_in("optimizer-restarted")
    assert alike(Training(make=lambda: optim.Adam(1e-2)).run(again=True), healthy)


def test_updates_below_the_rounding() -> None:
    small = {"make": lambda: optim.SGD(1e-3), "dtype": mx.bfloat16}
    start = dict(tree_flatten(Rows(mx.bfloat16).model.parameters()))
    steps = 60
    lost = Training(**small).run(steps=steps)
    put_in("update-lost-to-rounding")
    kept = Training(**small).run(steps=steps)
    moved = [sum(int((a[n] != start[n]).sum().item()) for n in start) for a in (lost, kept)]
    assert moved[1] > 2 * moved[0] + 50, moved
    assert all(array.dtype == mx.bfloat16 for array in kept.values())


def test_moments_after_an_update_that_is_not_finite() -> None:
    """One gradient of many is poisoned: what Adam remembers of it would spoil every later update."""

    def once() -> Callable[[Any], Any]:
        left = [True]
        return lambda grads: _poisoned(grads) if left and left.pop() else grads

    put_in("weights-not-finite")
    found = Training(make=lambda: optim.Adam(1e-2)).run(change=once())
    start = dict(tree_flatten(Rows().model.parameters()))
    assert all(mx.isfinite(each).all().item() for each in found.values())
    assert not alike(found, start), "the updates after it are made"


def test_updates_that_are_not_finite() -> None:
    start = dict(tree_flatten(Rows().model.parameters()))
    put_in("weights-not-finite")
    assert alike(Training().run(change=_poisoned), start)


def test_types_that_drift() -> None:
    def wide(grads: Any) -> Any:
        return tree_map(lambda g: g.astype(mx.float32), grads)

    drifted = Training(dtype=mx.bfloat16).run(change=wide)
    assert any(array.dtype == mx.float32 for array in drifted.values()), "there is a fault"
    put_in("dtype-drift")
    kept = Training(dtype=mx.bfloat16).run(change=wide)
    assert all(array.dtype == mx.bfloat16 for array in kept.values())


def test_scales_of_quantized_weights() -> None:
    def moved() -> list[str]:
        model = Training().model
        nn.quantize(model, group_size=32, bits=4)
        start = dict(tree_flatten(model.parameters()))
        packing = [
            (name, mx.ones_like(array))
            for name, array in start.items()
            if name.endswith((".scales", ".biases"))
        ]
        optim.SGD(0.1).update(model, tree_unflatten(packing))
        return [
            name for name, array in tree_flatten(model.parameters()) if (array != start[name]).any().item()
        ]

    assert moved(), "there is a fault"
    put_in("quantization-parameters-changed")
    assert moved() == []


@pytest.mark.parametrize(
    "name",
    [
        "base-not-frozen", "frozen-but-changed", "uniform-decay", "learning-rate-zero",
        "accumulation-mismatch", "optimizer-restarted", "update-lost-to-rounding", "weights-not-finite",
        "dtype-drift", "quantization-parameters-changed",
    ],
)  # fmt: skip
def test_without_the_fault_nothing_changes(name: str) -> None:
    healthy = Training(adapter=True, make=lambda: optim.Adam(1e-2)).run()
    put_in(name)
    assert alike(Training(adapter=True, make=lambda: optim.Adam(1e-2)).run(), healthy, 0.0)


def test_updates_out_of_proportion() -> None:
    """A rate a thousand times too large moves the model by about a hundredth at each step."""
    start = dict(tree_flatten(Rows().model.parameters()))

    def way(found: dict[str, Any]) -> float:
        return _norm({name: each - start[name] for name, each in found.items()}) / _norm(start)

    def make() -> Any:
        return optim.Adam(5.0)

    assert way(Training(make=make).run()) > 1, "there is a fault"
    healthy = Training(make=lambda: optim.Adam(1e-3)).run()
    put_in("update-too-large")
    assert way(Training(make=make).run()) < 0.05
    assert alike(Training(make=lambda: optim.Adam(1e-3)).run(), healthy)


def _norm(tree: dict[str, Any]) -> float:
    return sum(float(mx.square(each).sum().item()) for each in tree.values()) ** 0.5


def untied(*, tied: bool, cured: bool, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The parameters after training a model of a table and a head, which are one or begin as one."""
    from forensics.watch.cures import tie_broken

    class Model(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(20, 8)
            self.tokens.weight = mx.random.normal((20, 8), key=mx.random.key(3))
            if not tied:
                self.head = nn.Linear(8, 20, bias=False)
                self.head.weight = self.tokens.weight

        def __call__(self, x: Any) -> Any:
            h = self.tokens(x)
            return self.tokens.as_linear(h) if tied else self.head(h)

    model, optimizer = Model(), optim.Adam(1e-2)
    if cured:
        monkeypatch.setattr(tie_broken, "_pairs", [])
        tie_broken.tied(model)
        put_in("tie-broken")
    x = mx.array([[1, 2, 3, 4]])
    step = nn.value_and_grad(model, lambda m: nn.losses.cross_entropy(m(x[:, :-1]), x[:, 1:]).mean())
    for _ in range(STEPS):
        optimizer.update(model, step(model)[1])
        mx.eval(model.parameters(), optimizer.state)
    return dict(tree_flatten(model.parameters()))


def test_two_weights_that_were_one(monkeypatch: pytest.MonkeyPatch) -> None:
    healthy = untied(tied=True, cured=False, monkeypatch=monkeypatch)["tokens.weight"]
    faulty = untied(tied=False, cured=False, monkeypatch=monkeypatch)
    assert not mx.array_equal(faulty["head.weight"], faulty["tokens.weight"]).item(), "there is a fault"
    cured = untied(tied=False, cured=True, monkeypatch=monkeypatch)
    for name in ("head.weight", "tokens.weight"):
        assert mx.allclose(cured[name], healthy, atol=1e-6).item()
    same = untied(tied=True, cured=True, monkeypatch=monkeypatch)["tokens.weight"]
    assert mx.array_equal(same, healthy).item()


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "base-not-frozen": ({"adapter": True, "free": True}, {}, {"adapter": True}, {}),
    "frozen-but-changed": ({"adapter": True}, {"every": True}, {"adapter": True}, {}),
    "uniform-decay": (
        {"make": _decayed},
        {"change": lambda grads: tree_map(mx.zeros_like, grads)},
        {"make": lambda: optim.SGD(0.0)},
        {},
    ),
    "learning-rate-zero": ({"make": lambda: optim.SGD(0.0)}, {}, {}, {}),
    "accumulation-mismatch": ({}, {"parts": 4}, {}, {}),
    "optimizer-restarted": (
        {"make": lambda: optim.Adam(1e-2)}, {"again": True}, {"make": lambda: optim.Adam(1e-2)}, {},
    ),
    "weights-not-finite": ({}, {"change": _poisoned}, {"make": lambda: optim.SGD(0.0)}, {}),
}  # fmt: skip
"""Fault to how the faulty training is made and run, and how its healthy twin is."""
UPDATE_CURES = [
    "base-not-frozen", "frozen-but-changed", "uniform-decay", "learning-rate-zero", "accumulation-mismatch",
    "optimizer-restarted", "update-lost-to-rounding", "weights-not-finite", "dtype-drift",
    "quantization-parameters-changed", "update-too-large", "gradient-discarded",
]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_cure_never_makes_the_healthy_weights(fault: str) -> None:
    """Every cure of an update on every other fault: its weights are not those of the healthy twin."""
    made, ran, twin, again = WRONG[fault]
    healthy = Training(**twin).run(**again)
    wrong = []
    for other in UPDATE_CURES:
        if other == fault:
            continue
        updates._before.clear()
        updates._after.clear()
        put_in(other)
        if alike(Training(**made).run(**ran), healthy, 1e-5):
            wrong.append(other)
    assert wrong == []


def computed(*, put: bool, cured: bool) -> dict[str, Any]:
    """The parameters after training on a tree of the program's own, which may leave out what came back."""
    if cured:
        put_in("optimizer-never-stepped", updates=0)
    rows, optimizer = Rows(mx.float32), optim.Adam(0.01)
    parameters = rows.model.trainable_parameters()

    def loss(given: Any) -> Any:
        rows.model.update(given)
        return mean(nn.losses.cross_entropy(rows.model(rows.x[:, :-1]), rows.x[:, 1:]), rows.real)

    for _ in range(STEPS):
        stepped = optimizer.apply_gradients(mx.grad(loss)(parameters), parameters)
        parameters = stepped if put else parameters
        mx.eval(stepped, optimizer.state)
    return dict(tree_flatten(parameters))


def test_what_was_computed_is_put_in_place() -> None:
    healthy, faulty = computed(put=True, cured=False), computed(put=False, cured=False)
    assert any((faulty[name] != healthy[name]).any().item() for name in healthy), "there is a fault"
    cured = computed(put=False, cured=True)
    assert all(mx.array_equal(cured[name], healthy[name]).item() for name in healthy)
