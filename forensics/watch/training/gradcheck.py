"""Is the gradient that the program got the gradient of its loss? Asked with `--selftest full`, once a model.

The loss is called again, at parameters a little before and behind those of the program, along the gradient:
by a central difference it must rise by the gradient's norm. How exact that difference is, is measured: by
taking it over several lengths, and by what rounding does to the loss.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from .. import trees
from ..capture.isolation import still
from ..originals import math
from ..trees import mx
from .selftest import NotRunError, move

_LENGTHS = (2.0**-5, 2.0**-8, 2.0**-11)  # of the steps along the gradient, over the norm of the parameters
_MOST = 0.05  # of the gradient: a difference that is less exact says nothing


@dataclass
class Before:
    """The random states with which the program's own call began."""

    key: Any
    plain: Any
    numpy: Any

    @classmethod
    def now(cls) -> Before:
        numpy: Any = getattr(sys.modules.get("numpy"), "random", None)
        return cls(mx().random.state[0], random.getstate(), numpy.get_state() if numpy else None)

    def again(self) -> None:
        """Draw the same numbers again; within `still`, which puts back what comes after."""
        high, low = self.key.tolist()
        mx().random.seed((high << 32) | low)
        random.setstate(self.plain)
        if self.numpy is not None:
            sys.modules["numpy"].random.set_state(self.numpy)


class Asked(Protocol):
    """A scalar along a direction: how long its parameters are, and what its gradient says of a step of 1."""

    size: float
    norm: float

    def loss(self, along: float = 0.0, moved: bool = False) -> float: ...


class DirectionalLoss:
    """The program's loss, as a function of how far its parameters lie along the gradient."""

    def __init__(self, root: Any, fun: Callable[..., Any], given: Any, grads: Any, before: Before) -> None:
        (self.subject, *self.rest), self.kwargs = given
        self.root, self.fun, self.before = root, fun, before
        theta, slope = dict(trees.flatten(self.subject)), dict(trees.flatten(grads))
        if theta.keys() != slope.keys() or not theta or trees.is_module(self.subject):
            raise NotRunError("unseen", "the gradient is taken of something else than a model's parameters")
        if any(array.dtype != mx().float32 for array in (*theta.values(), *slope.values())):
            raise NotRunError("not-applicable", "a finite difference says nothing in 16 bits")
        self.theta, self.slope = list(theta.values()), [slope[name] for name in theta]
        self.norm, self.size = norm(self.slope), norm(self.theta)
        if not (self.norm and self.size and math.isfinite(self.norm)):
            raise NotRunError("not-applicable", "the gradient is zero, or not finite")

    def loss(self, along: float = 0.0, moved: bool = False) -> float:
        core = mx()
        with still(self.root, evaluation=False):
            self.before.again()
            if moved:
                move(self.root)
            shift = along / self.norm
            pairs = zip(self.theta, self.slope, strict=True)
            arrays = (
                trees.leaves(self.root.trainable_parameters()) if moved else [t + shift * g for t, g in pairs]
            )
            value = self.fun(trees.replaced(self.subject, iter(arrays)), *self.rest, **self.kwargs)
            scalar = next((leaf for _, leaf in trees.flatten(value) if leaf.size == 1), None)
            if scalar is None or scalar.dtype != core.float32:
                raise NotRunError("not-applicable", "a finite difference says nothing of a loss in 16 bits")
            return float(scalar.item())


def compare(asked: Asked, value: float) -> dict[str, float]:
    """`ratio`, of the finite difference to the gradient's norm, and `ratio_error`, how exact it is; `repeat`,
    `rounding` and `scale` of the loss.

    Raises: NotRunError, where the loss is another when it is called again, or no difference is exact enough.
    """
    # asked on both sides of the moved one: a loss that drifts from call to call must not pass as rounding
    again, moved, last = asked.loss(), asked.loss(moved=True), asked.loss()
    rounding = max(abs(moved - (again + last) / 2), abs(value) * trees.unit("float32"))
    if abs(again - value) > rounding:
        raise NotRunError(
            "not-applicable", f"the loss is {value:.6g}, and {again:.6g} when it is called again"
        )
    told = {"repeat": abs(again - value), "rounding": rounding, "scale": abs(value)}
    return ratio(asked, rounding, _LENGTHS) | told


def ratio(asked: Asked, rounding: float, lengths: tuple[float, ...], every: bool = False) -> dict[str, float]:
    """`ratio` and `ratio_error` of one direction; `rounding` of the scalar, `lengths` of the steps, from wide
    to fine. `every`: all of them must agree, which those of a function that jumps do not; else two of them.

    Raises: NotRunError, where no difference is exact enough.
    """
    slopes = []
    for length in lengths:
        h = length * asked.size
        slopes.append(((asked.loss(h) - asked.loss(-h)) / (2 * h), rounding / h))
    pairs = [
        (abs(wide - fine) + error, fine) for (wide, _), (fine, error) in zip(slopes, slopes[1:], strict=False)
    ]
    error, slope = max(pairs) if every else min(pairs)
    if not error <= _MOST * max(asked.norm, abs(slope)):
        raise NotRunError("not-applicable", "the loss bends or rounds too much for a finite difference")
    return {"ratio": slope / asked.norm, "ratio_error": error / asked.norm}


def norm(arrays: list[Any]) -> float:
    """Of all of them together."""
    core = mx()
    return float(core.sqrt(sum(core.square(array).sum() for array in arrays)).item())
