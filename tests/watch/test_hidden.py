"""Targets and weights off the cotangent at hidden states, against the loss that made it."""

from __future__ import annotations

import pytest

mx = pytest.importorskip("mlx.core")
nn = pytest.importorskip("mlx.nn")

from forensics.watch.training import hidden  # noqa: E402


@pytest.mark.parametrize("bits", [None, 8, 4])
def test_target_and_weight_of_each_position(bits: int | None) -> None:
    mx.random.seed(0)
    head = nn.Linear(64, 997, bias=False)
    if bits:
        head = nn.QuantizedLinear.from_linear(head, 64, bits)
        rows = mx.dequantize(head.weight, head.scales, head.biases, 64, bits)
    else:
        rows = head.weight
    head.freeze()
    h, y = mx.random.normal((4, 23, 64)), mx.random.randint(0, 997, (4, 23))
    weight = mx.where(mx.arange(23) < 15, 1.0 / 60, 0.0) * mx.ones((4, 1))
    c = mx.grad(lambda h: (nn.losses.cross_entropy(head(h), y) * weight).sum())(h)
    seen = hidden.reduce(h, c, head, (rows * rows).sum(-1))
    assert mx.where(weight > 0, seen["target"] == y, True).all().item()
    assert mx.abs(seen["weight"] - weight).max().item() < 1e-4 / 60
    assert (seen["residual"] * seen["size"]).sum().item() < 0.01 * seen["size"].sum().item()


def test_a_loss_that_is_no_cross_entropy_leaves_a_residual() -> None:
    mx.random.seed(0)
    head, h = nn.Linear(64, 997, bias=False), mx.random.normal((2, 5, 64))
    c = mx.random.normal(h.shape)
    seen = hidden.reduce(h, c, head, (head.weight * head.weight).sum(-1))
    assert seen["residual"].min().item() > 0.05
