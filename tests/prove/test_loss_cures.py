"""Each cure of the loss against the healthy twin: the same gradient within rounding.

Without the fault it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pytest

from tests.prove import lessons
from tests.prove.lessons import WIDTH, Rows, far, mean

ce = nn.losses.cross_entropy
Loss = Callable[[Rows, Any], Any]


def _next(r: Rows, z: Any) -> Any:
    return ce(z, r.x[:, 1:])


HEALTHY: dict[str, Loss] = {
    "rows": lambda r, z: mean(_next(r, z), r.real),
    "answers": lambda r, z: mean(_next(r, z), r.answer),
}
TWINS: dict[str, Loss] = {**HEALTHY, "rows taught": lambda r, z: mean(_next(r, z), r.answer)}


def _twice(r: Rows, z: Any) -> Any:
    return mean(ce(z[:, :-1], r.x[:, 2:]), r.real[:, 1:])


def _early(mask: Any) -> Any:
    """Moved one position to the left."""
    return mx.concatenate([mask[:, 1:], mx.zeros((mask.shape[0], 1))], axis=1)


def _ignored(r: Rows, z: Any) -> Any:
    return ce(z, mx.where(r.real > 0, r.x[:, 1:], -100)).mean()


FAULTS: dict[str, tuple[str, Loss, str]] = {
    "padded mean": ("padding-in-loss", lambda r, z: _next(r, z).mean(), "rows"),
    "padded, divided by real tokens": (
        "padding-in-loss", lambda r, z: _next(r, z).sum() / r.real.sum(), "rows",
    ),
    "prompt": ("prompt-in-loss", HEALTHY["rows"], "answers"),
    "mask a position early": ("mask-off-by-one", lambda r, z: mean(_next(r, z), _early(r.answer)), "answers"),
    "own labels": ("labels-not-shifted", lambda r, z: mean(ce(z, r.x[:, :-1]), r.real), "rows"),
    "own labels, their own mask": (
        "labels-not-shifted",
        lambda r, z: mean(ce(z, r.x[:, :-1]), (r.x[:, :-1] != 0).astype(mx.float32)),
        "rows",
    ),
    "shifted twice": ("labels-shifted-twice", _twice, "rows"),
    "sign": ("loss-sign-flipped", lambda r, z: -mean(_next(r, z), r.real), "rows"),
    "no end": ("end-never-trained", lambda r, z: mean(_next(r, z), r.answer - r.end), "answers"),
    "half of the answers": (
        "answers-partly-masked",
        lambda r, z: mean(_next(r, z), r.answer * (mx.arange(WIDTH - 1)[None] % 2)),
        "answers",
    ),
    "nothing": ("all-tokens-masked", lambda r, z: mean(_next(r, z) * 0, r.real), "rows taught"),
    "nothing over nothing": (
        "all-tokens-masked", lambda r, z: (_next(r, z) * 0).sum() / (r.real * 0).sum(), "rows taught",
    ),
    "label -100": ("ignore-index-as-token", _ignored, "rows"),
    "other rows' labels": ("targets-unrelated", lambda r, z: mean(ce(z, r.x[:, 1:][::-1]), r.real), "rows"),
    "softmax twice": (
        "probabilities-as-logits",
        lambda r, z: mean(ce(mx.softmax(z, axis=-1), r.x[:, 1:]), r.real),
        "rows",
    ),
    "sum": ("update-too-large", lambda r, z: (_next(r, z) * r.real).sum(), "rows"),
}  # fmt: skip
"""Name to (cure, faulty loss, the healthy twin)."""
LOSS_CURES = sorted({cure for cure, _, _ in FAULTS.values()})
ROUNDING = 2e-6


@pytest.fixture(scope="module")
def rows() -> Rows:
    return Rows()


@pytest.mark.parametrize("name", FAULTS)
def test_the_gradient_of_the_healthy_twin(rows: Rows, name: str) -> None:
    cure, faulty, twin = FAULTS[name]
    right = rows.gradient(lambda z: TWINS[twin](rows, z))
    assert not far(rows.gradient(lambda z: faulty(rows, z)), right) < 0.01, "there is a fault"
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
    faulty, twin = next((loss, TWINS[twin]) for name, loss, twin in FAULTS.values() if name == cure)
    with lessons.put_in(cure):
        plain = rows.cured(lambda z: faulty(rows, z))
        compiled = mx.compile(lambda: rows.cured(lambda z: faulty(rows, z)))()
        assert far(compiled, plain) < ROUNDING
    assert far(plain, rows.gradient(lambda z: twin(rows, z))) < ROUNDING


def test_a_position_without_a_gradient(rows: Rows) -> None:
    """One position's loss has no finite slope: it is left out, and all others teach what they did."""
    one = (mx.arange(WIDTH - 1) == 4)[None]

    def faulty(z: Any) -> Any:
        return mean(_next(rows, z), rows.real) + mx.sqrt(0.0 * z[:, 4].sum(axis=-1)).sum()

    def twin(z: Any) -> Any:
        return (_next(rows, z) * rows.real * (1 - one)).sum() / rows.real.sum()

    assert mx.isnan(rows.gradient(faulty)).any().item(), "there is a fault"
    with lessons.put_in("weights-not-finite"):
        assert far(rows.cured(faulty), rows.gradient(twin)) < ROUNDING
        plain = rows.gradient(lambda z: mean(_next(rows, z), rows.real))
        assert far(rows.cured(lambda z: mean(_next(rows, z), rows.real)), plain) < ROUNDING


def test_a_loss_without_any_finite_gradient(rows: Rows) -> None:
    """A term whose derivative is no number spoils every position: the plain loss is taught in its place."""

    def faulty(z: Any) -> Any:
        losses = _next(rows, z)
        return mean(losses, rows.real) - 0.0 * mx.log(mx.exp(-1e4 * losses.sum()))

    assert mx.isnan(rows.gradient(faulty)).all().item(), "there is a fault"
    with lessons.put_in("weights-not-finite"):
        twin = rows.gradient(lambda z: mean(_next(rows, z), rows.real))
        assert far(rows.cured(faulty), twin) < ROUNDING


SAME = {
    ("answers-partly-masked", "mask-off-by-one"),
    ("mask-off-by-one", "answers-partly-masked"),
    ("ignore-index-as-token", "padding-in-loss"),
    ("end-never-trained", "mask-off-by-one"),
    ("end-never-trained", "answers-partly-masked"),
}
"""(fault, cure) whose words are two and whose mend is one: what is taught is set right by either."""


@pytest.mark.long
def test_a_wrong_cure_never_makes_the_healthy_gradient(rows: Rows) -> None:
    """Every cure of the loss on every other fault: what it leaves is not the gradient of the healthy twin."""
    tried, wrong = 0, []
    for name, (cure, faulty, twin) in FAULTS.items():
        right = rows.gradient(lambda z, twin=twin: TWINS[twin](rows, z))  # type: ignore[misc]
        for other in (*LOSS_CURES, "weights-not-finite"):
            if other == cure or (cure, other) in SAME:
                continue
            with lessons.put_in(other):
                left = rows.cured(lambda z, faulty=faulty: faulty(rows, z))  # type: ignore[misc]
            tried += 1
            if far(left, right) < 0.01:
                wrong.append((name, other))
    assert wrong == [] and tried >= 180, (tried, wrong)
