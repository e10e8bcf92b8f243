"""Cures at the two ends of a model: ids that its table does not have, and a loss by another head."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pytest

from forensics.watch.cures import loss_not_of_logits, token_id_out_of_range
from forensics.watch.repeat import logits, request
from forensics.watch.training import head, hidden

WIDTH, VOCABULARY = 32, 200


@pytest.fixture(autouse=True)
def facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request.watch, "options", {"repeat": {"facts": {}}})
    monkeypatch.setattr(request, "acted", lambda name, what: None)


def test_ids_beyond_the_table() -> None:
    table = nn.Embedding(10, 4)
    call = token_id_out_of_range._call(nn.Embedding.__call__)
    ids = mx.array([[3, 9, 10, -1, 4000]])
    assert mx.array_equal(call(table, ids), table(mx.array([[3, 9, 0, 0, 0]]))).item()
    assert mx.array_equal(call(table, ids[:, :2]), table(ids[:, :2])).item()


def test_nothing_is_taught_at_them() -> None:
    ids = mx.array([[3, 5, VOCABULARY, 7, 8], [1, 2, 3, 4, 5]])
    z, g = mx.zeros((2, 5, VOCABULARY)), mx.ones((2, 5, VOCABULARY))
    left = token_id_out_of_range.known(logits.Lesson(z, ids, g, 1))
    assert (left[..., 0] != 0).tolist() == [[True, False, False, True, True], [True] * 5]
    assert mx.array_equal(left[1], g[1]).item()


class Model(nn.Module):  # type: ignore[misc]
    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.lm_head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.args = settings


def lesson(settings: dict[str, Any], other: bool) -> tuple[Any, Any]:
    """(what the cure leaves, what the model's own head would have given) of one forward."""
    mx.random.seed(0)
    model = Model(**settings)
    found = head.find(model, model, WIDTH)
    assert found is not None and found.other is not None
    h, ids = mx.random.normal((2, 9, WIDTH)), mx.random.randint(0, VOCABULARY, (2, 9))
    target, weight = mx.roll(ids, -1, 1), mx.where(mx.arange(9) < 8, 1 / 16, 0.0) * mx.ones((2, 1))
    right = hidden.cotangent(h, target, weight, found)
    came = hidden.cotangent(h, target, weight, found.other[1]) if other else right
    return loss_not_of_logits.own(logits.Lesson(h, ids, came, 1, found)), right


@pytest.mark.parametrize("settings", [{}, {"logit_scale": 0.25}], ids=["the table", "without its scale"])
def test_the_models_own_head(settings: dict[str, Any]) -> None:
    for other in (True, False):
        left, right = lesson(settings, other)
        assert (mx.linalg.norm(left - right) / mx.linalg.norm(right)).item() < 1e-4
    came, right = lesson(settings, False)
    assert mx.array_equal(came, right).item(), "without the fault it stays to the bit"
