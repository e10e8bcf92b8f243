"""Is the backward pass of the program's own model that of its forward? Asked where it has one of its own.

A scalar is made of what the model says of the program's first batch: the cross-entropy of the next tokens.
Its gradient goes back through the model, and is held against a finite difference of that scalar, as
`gradcheck` does with the program's own loss, which is not called here. Parameters of one kind, all
`gate.weight` say, are asked alone: what is wrong in a few is not lost beside the others.
"""

from __future__ import annotations

import io
import re
from typing import Any

from .. import trees
from ..capture.isolation import still
from ..originals import math
from ..trees import mx
from . import gradcheck
from .selftest import Check, NotRunError, move

_LENGTHS = (2.0**-8, 2.0**-11, 2.0**-14)  # of the steps, over the norm of so many typical parameters
_EACH = 2 * len(_LENGTHS)  # forwards of one group
_BESIDE = 8  # forwards for the graph, the backward pass and the rounding
_GROUPS = 12  # at most
_FLAT = 0.05  # ratio up to which the forward does not move where the gradient says so
_STEPS = ("Round", "Sign", "Floor", "Ceil")  # operations whose own gradient is zero


class _Along:
    """The scalar, as a function of how far the parameters of a group lie along their part of the gradient."""

    def __init__(self, made: Backward, group: list[int]) -> None:
        self.made, self.group = made, group
        self.norm = gradcheck.norm([made.slope[i] for i in group])
        count = sum(made.theta[i].size for i in group)
        # a group may be all zero: its steps are as long as those of other parameters
        self.size = gradcheck.norm(made.theta) * math.sqrt(count / sum(each.size for each in made.theta))

    def loss(self, along: float = 0.0, moved: bool = False) -> float:
        arrays = list(self.made.theta)
        for i in self.group:
            arrays[i] = arrays[i] + along / self.norm * self.made.slope[i]
        return self.made.at(None if moved else arrays)


class Backward:
    """The scalar of one model, its parameters, and its gradient by the backward pass.

    Raises: NotRunError, where the gradient is not finite, or no number of 32 bits.
    """

    def __init__(self, asked: Check) -> None:
        core = mx()
        self.asked = asked
        width, rows = asked.z.shape[-1], zip(asked.part.ids, asked.part.places, strict=True)
        self.target = core.array([[ids[place + 1] % width] for ids, places in rows for place in places])
        trained = {id(array) for array in trees.leaves(asked.root.trainable_parameters())}
        held = [
            (path, module, name, array)
            for path, module in trees.modules(asked.root)
            for name, array in list(dict.items(module))
            if id(array) in trained
        ]
        self.names = [(path, name) for path, _, name, _ in held]
        self.slots = [(module, name) for _, module, name, _ in held]
        self.theta = [array for *_, array in held]
        if asked.dtype != "float32" or any(array.dtype != core.float32 for array in self.theta):
            raise NotRunError("not-applicable", "a finite difference says nothing in 16 bits")
        with still(asked.root, evaluation=True):
            self.value, self.slope = core.value_and_grad(self.scalar)(self.theta)
            core.eval(self.value, self.slope)
        size = gradcheck.norm(self.slope)
        if not (size and math.isfinite(size)):
            raise NotRunError("not-applicable", "the gradient is zero, or not finite")

    def groups(self, most: int) -> list[_Along]:
        """The parameters by the end of their names; of more kinds than `most`, several are one group."""
        kinds: dict[str, list[int]] = {}
        for i, (path, name) in enumerate(self.names):
            kinds.setdefault(f"{path.rpartition('.')[2]}.{name}", []).append(i)
        merged: list[list[int]] = [[] for _ in range(min(most, len(kinds)))]
        for number, kind in enumerate(kinds.values()):
            merged[number % len(merged)] += kind
        return [each for group in merged if (each := _Along(self, group)).norm]

    def at(self, arrays: list[Any] | None) -> float:
        """The scalar at these parameters; None: at the model's own, each one unit in its last place away."""
        with still(self.asked.root, evaluation=True):
            if arrays is None:
                move(self.asked.root)
            return float(self.scalar(arrays).item())

    def scalar(self, arrays: list[Any] | None) -> Any:
        """The cross-entropy at these parameters, or at those that stand: to be called within `still`."""
        core = mx()
        if arrays is not None:
            for (module, name), array in zip(self.slots, arrays, strict=True):
                dict.__setitem__(module, name, array)
        z = self.asked.outputs(self.asked.part.ids)
        return (core.logsumexp(z, -1) - core.take_along_axis(z, self.target, -1)[:, 0]).mean()


def own(asked: Check) -> bool:
    """Does the forward go through an operation with a backward pass of its own?

    `mx.custom_function` and `mx.checkpoint` leave a node in the graph of what is not evaluated yet.

    Raises: NotRunError, where the backward pass may be another on purpose.
    """
    with still(asked.root, evaluation=True):
        page = io.StringIO()
        mx().export_to_dot(page, asked.outputs(asked.part.ids))
    text = page.getvalue()
    kinds = dict(re.findall(r'\{ (\d+) \[label ="(\w+)"', text))
    if "CustomTransforms" not in kinds.values():
        return False
    if any(word in kind for word in _STEPS for kind in kinds.values()):
        raise NotRunError("not-applicable", "the model rounds: a gradient straight through it may be meant")
    made_by = {array: node for node, array in re.findall(r'^(\d+) -> "(\w+)"$', text, re.M)}
    taken: dict[str, list[str]] = {}
    for array, node in re.findall(r'^"(\w+)" -> (\d+)$', text, re.M):
        taken.setdefault(node, []).append(array)
    for node, arrays in taken.items():
        for held in (made_by[each] for each in arrays if kinds.get(made_by.get(each, "")) == "StopGradient"):
            # mlx itself holds constant what a custom function computes
            if kinds[node] != "CustomTransforms":
                raise NotRunError("not-applicable", "the model holds a part of itself constant")
            if taken[held][0] in arrays:
                raise NotRunError("not-applicable", "what changes the gradient alone may be meant")
    return True


def compare(asked: Check) -> dict[str, float] | None:
    """`ratio` and `ratio_error` of the group that is furthest off, `repeat`, `rounding` and `scale` of the
    scalar; None: the model has no backward pass of its own.

    Raises: NotRunError, where it cannot be asked, or no difference is exact enough.
    """
    if asked.dtype != "float32" or not own(asked):
        return None
    asked.afford(_BESIDE + _EACH, asked.allowed)
    made = Backward(asked)
    value, again, moved = float(made.value.item()), made.at(made.theta), made.at(None)
    rounding = max(abs(again - value), abs(moved - value), 2 * abs(value) * trees.unit("float32"))
    told, why = [], NotRunError("not-applicable", "the gradient is zero")
    for group in made.groups(min(_GROUPS, int((asked.allowed / (asked.took or 1e-6) - _BESIDE) / _EACH))):
        try:
            told.append(gradcheck.ratio(group, rounding, _LENGTHS, every=True))
        except NotRunError as error:
            why = error
    if not told:
        raise why
    if any(abs(each["ratio"]) <= max(each["ratio_error"], _FLAT) for each in told):
        raise NotRunError(
            "not-applicable", "the model is flat or jumps: a gradient in its place may be meant"
        )
    worst = max(told, key=lambda each: abs(each["ratio"] - 1) - each["ratio_error"])
    return worst | {"repeat": abs(again - value), "rounding": rounding, "scale": abs(value)}
