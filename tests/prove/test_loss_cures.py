"""Each cure of the loss against the healthy twin: the same gradient within rounding; without the fault it changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pytest

from tests.prove import lessons
from tests.prove.lessons import Rows, far, mean

ce = nn.losses.cross_entropy
Loss = Callable[[Rows, Any], Any]


def _next(r: Rows, z: Any) -> Any:
    return ce(z, r.x[:, 1:])


HEALTHY: dict[str, Loss] = {
    "rows": lambda r, z: mean(_next(r, z), r.real),
    "answers": lambda r, z: mean(_next(r, z), r.answer),
}
FAULTS: dict[str, tuple[str, Loss, str]] = {
    "padded mean": ("padding-in-loss", lambda r, z: _next(r, z).mean(), "rows"),
    "padded, divided by real tokens": (
        "padding-in-loss",
        lambda r, z: _next(r, z).sum() / r.real.sum(),
        "rows",
    ),
}
"""Name to (cure, faulty loss, the healthy twin)."""
LOSS_CURES = sorted({cure for cure, _, _ in FAULTS.values()})
ROUNDING = 2e-6


@pytest.fixture(scope="module")
def rows() -> Rows:
    return Rows()


@pytest.mark.parametrize("name", FAULTS)
def test_the_gradient_of_the_healthy_twin(rows: Rows, name: str) -> None:
    cure, faulty, twin = FAULTS[name]
    right = rows.gradient(lambda z: HEALTHY[twin](rows, z))
    assert far(rows.gradient(lambda z: faulty(rows, z)), right) > 0.01, "there is a fault"
    with lessons.put_in(cure):
        assert far(rows.cured(lambda z: faulty(rows, z)), right) < ROUNDING


@pytest.mark.parametrize("cure", LOSS_CURES)
@pytest.mark.parametrize("twin", HEALTHY)
def test_nothing_changes_without_the_fault(rows: Rows, cure: str, twin: str) -> None:
    """A loss over whole rows has the prompt in it on purpose: only who declares a mask has that fault."""
    if (cure, twin) == ("prompt-in-loss", "rows"):
        pytest.skip("the prompt is in this loss")
    plain = rows.gradient(lambda z: HEALTHY[twin](rows, z))
    with lessons.put_in(cure):
        assert far(rows.cured(lambda z: HEALTHY[twin](rows, z)), plain) < ROUNDING


@pytest.mark.parametrize("cure", LOSS_CURES)
def test_inside_a_compiled_function(rows: Rows, cure: str) -> None:
    """Nothing is evaluated in the backward pass, so a cure holds in a compiled step as well."""
    faulty, twin = next((loss, HEALTHY[twin]) for name, loss, twin in FAULTS.values() if name == cure)
    with lessons.put_in(cure):
        plain = rows.cured(lambda z: faulty(rows, z))
        compiled = mx.compile(lambda: rows.cured(lambda z: faulty(rows, z)))()
        assert far(compiled, plain) < ROUNDING
    assert far(plain, rows.gradient(lambda z: twin(rows, z))) < ROUNDING
