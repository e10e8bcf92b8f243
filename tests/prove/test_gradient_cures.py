"""Cures of what is differentiated by what, and of gradients between their function and the optimizer."""

from __future__ import annotations

import importlib
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import pytest
from mlx.utils import tree_flatten, tree_map

from forensics.watch.cures import gradients_zero, weights_not_finite
from forensics.watch.models import Model
from forensics.watch.moments import Moments
from forensics.watch.repeat import gradients, logits, request, updates
from tests.prove.lessons import Rows, mean


@pytest.fixture(autouse=True)
def surface(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request.watch, "options", {"repeat": {"facts": {}}})
    for module, name in ((updates, "_before"), (updates, "_after"), (logits, "_cures")):
        monkeypatch.setattr(module, name, [])
    monkeypatch.setattr(weights_not_finite, "_short", [])
    monkeypatch.setattr(weights_not_finite, "_zeros", {})
    for name, make in (("update", updates._update), ("apply_gradients", updates._apply)):
        monkeypatch.setattr(optim.Optimizer, name, make(getattr(optim.Optimizer, name)))
    monkeypatch.setattr(nn, "value_and_grad", gradients._nn(nn.value_and_grad))


def put_in(name: str) -> None:
    importlib.import_module(f"forensics.watch.cures.{name.replace('-', '_')}").install(Moments())


def trained(change: Any = lambda grads: grads) -> dict[str, Any]:
    rows, optimizer = Rows(), optim.SGD(0.1)
    step = nn.value_and_grad(
        rows.model, lambda m: mean(nn.losses.cross_entropy(m(rows.x[:, :-1]), rows.x[:, 1:]), rows.real)
    )
    for _ in range(2):
        optimizer.update(rows.model, change(step(rows.model)[1]))
        mx.eval(rows.model.parameters())
    return dict(tree_flatten(rows.model.parameters()))


def alike(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(mx.allclose(each, b[name], atol=1e-6).item() for name, each in a.items())


def test_gradients_that_were_turned() -> None:
    def turned(grads: Any) -> Any:
        return tree_map(mx.negative, grads)

    healthy, faulty = trained(), trained(turned)
    assert not alike(faulty, healthy), "there is a fault"
    put_in("loss-sign-flipped")
    assert alike(trained(turned), healthy)
    assert alike(trained(), healthy)
    half = trained(lambda grads: tree_map(lambda g: g * 0.5, grads))
    assert not alike(half, healthy), "a clipped gradient stays clipped"


def test_a_loss_that_never_takes_its_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows()
    monkeypatch.setattr(request.watch, "models", [Model("m0", rows.model)])

    def faulty(parameters: Any) -> Any:
        return mean(nn.losses.cross_entropy(rows.model(rows.x[:, :-1]), rows.x[:, 1:]), rows.real)

    def healthy(parameters: Any) -> Any:
        rows.model.update(parameters)
        return faulty(parameters)

    def slope(loss: Any) -> dict[str, Any]:
        return dict(tree_flatten(mx.grad(loss)(rows.model.trainable_parameters())))

    right = slope(healthy)
    assert all((each == 0).all().item() for each in slope(faulty).values()), "there is a fault"
    assert alike(slope(gradients_zero._put_in(faulty)), right)
    assert alike(slope(gradients_zero._put_in(healthy)), right)


class Parts(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = mx.ones((3,)), mx.zeros((3,))


def test_updates_that_16_bits_do_not_hold() -> None:
    """Where a gradient is 0, Adam in 16 bits divides by an epsilon of which nothing is left."""

    def run() -> dict[str, Any]:
        model, optimizer = Parts(), optim.Adam(1e-2, eps=1e-8)
        model.set_dtype(mx.float16)
        for _ in range(4):
            optimizer.update(model, {"first": mx.full((3,), 1e-5, mx.float16), "second": mx.zeros((3,))})
            mx.eval(model.parameters())
        return dict(tree_flatten(model.parameters()))

    assert not mx.isfinite(run()["first"]).all().item(), "there is a fault"
    put_in("weights-not-finite")
    found = run()
    assert all(mx.isfinite(each).all().item() and each.dtype == mx.float16 for each in found.values())
    assert (found["first"] < 1).all().item(), "the updates after the first are made"


def test_a_root_at_zero() -> None:
    """The slope of a norm is no number at 0 alone; beside it the same loss trains."""

    def run(loss: Any) -> dict[str, Any]:
        model, optimizer = Parts(), optim.SGD(0.1)
        step = nn.value_and_grad(model, loss)
        for _ in range(4):
            optimizer.update(model, step(model)[1])
            mx.eval(model.parameters())
        return dict(tree_flatten(model.parameters()))

    def rooted(m: Any) -> Any:
        return 0.01 * mx.sqrt((m.second * m.second).sum()) + ((m.second - 1) ** 2).sum()

    def never(m: Any) -> Any:
        return (m.second * float("nan")).sum()

    assert mx.isnan(run(rooted)["second"]).all().item(), "there is a fault"
    put_in("weights-not-finite")
    assert (run(rooted)["second"] > 0.3).all().item()
    assert (run(never)["second"] == 0).all().item(), "where that was of no use it stays where it was"
