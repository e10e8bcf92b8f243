"""Logits that are too many to be held are read where they are made, and tell the same."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import pytest

from forensics.watch.training import largelogits, logits


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(largelogits, "_HELD", 400)


def cotangent(z: Any, target: Any, weight: Any) -> Any:
    def loss(z: Any) -> Any:
        own = mx.take_along_axis(z, target[..., None], -1)[..., 0]
        return (weight * (mx.logsumexp(z, -1) - own)).sum()

    return mx.grad(loss)(z)


@pytest.mark.parametrize(("dtype", "near"), [(mx.float32, 1e-4), (mx.bfloat16, 0.05)])
def test_what_is_read_before_the_cotangent_tells_what_both_tell(
    monkeypatch: pytest.MonkeyPatch, dtype: Any, near: float
) -> None:
    """Targets that are the largest logit, that are not, that are masked, and that are pushed away."""
    mx.random.seed(0)
    z = (4 * mx.random.normal((2, 20, 200))).astype(dtype)
    target = mx.concatenate([mx.argmax(z[:, :10], -1), mx.random.randint(0, 200, (2, 10))], -1)
    weight = mx.tile(mx.array([0.1, 0.0, 0.3, -0.2, 0.05], dtype), (2, 4))
    g = cotangent(z, target, weight)
    old = logits.reduce(z, g, brief=True), logits.reduce(z, g)
    monkeypatch.setattr(logits, "_WHOLE", 1)
    seen = largelogits.read(z, None)
    assert seen is not None and seen.positions.shape == (2, 200)
    for now, before in zip((largelogits.brief(seen, g), largelogits.full(seen, g)), old, strict=True):
        live = weight != 0
        assert (mx.where(live, now["target"] == target, True)).all()
        assert mx.allclose(now["weight"], weight.astype(mx.float32), rtol=near, atol=1e-6), now["weight"]
        assert mx.allclose(now["mass"], before["mass"], rtol=near, atol=near / 10)
        assert now["residual"].max() < max(0.05, near)


def test_another_loss_leaves_a_residual(monkeypatch: pytest.MonkeyPatch) -> None:
    mx.random.seed(0)
    z = mx.random.normal((1, 20, 200))
    monkeypatch.setattr(logits, "_WHOLE", 1)
    seen = largelogits.read(z, True)
    assert seen is not None
    assert largelogits.brief(seen, mx.random.normal(z.shape))["residual"].min() > 0.3


def test_few_logits_are_held() -> None:
    assert largelogits.read(mx.zeros((1, 20, 200)), True) is None
