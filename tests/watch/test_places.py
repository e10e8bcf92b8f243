"""The line of the user's program that returns a loss."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import mlx.nn as nn
import pytest

from forensics.watch import places


def mean(model: Any, ids: Any) -> Any:
    if ids is None:
        return 0.0
    losses = model(ids)
    return (
        losses  # over several lines: the first is named
        .mean()
    )  # fmt: skip


class Trainer:
    def loss(self, model: Any, ids: Any) -> Any:
        return model(ids).sum()

    def __call__(self, model: Any, ids: Any) -> Any:
        return self.loss(model, ids)


@functools.wraps(mean)
def wrapped(*args: Any) -> Any:
    return mean(*args)


FIRST = mean.__code__.co_firstlineno


@pytest.mark.parametrize(
    ("function", "line"),
    [
        (mean, FIRST + 4),
        (functools.partial(mean, None), FIRST + 4),
        (wrapped, FIRST + 4),
        (Trainer().loss, Trainer.loss.__code__.co_firstlineno + 1),
        (Trainer(), Trainer.__call__.__code__.co_firstlineno + 1),
    ],
    ids=["function", "partial", "wrapped", "method", "object"],
)
def test_the_line_that_returns_the_loss_is_named(function: Callable[..., Any], line: int) -> None:
    assert places.returns(function) == f"{__file__}:{line}"


@pytest.mark.parametrize("function", [nn.losses.cross_entropy, len, object(), None])
def test_what_is_no_function_of_the_program_has_no_such_line(function: Any) -> None:
    assert places.returns(function) is None
