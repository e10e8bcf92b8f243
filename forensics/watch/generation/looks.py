"""What a generation's model says of its own prompt.

It is asked twice with the flags as they are, and once in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import trees
from ..capture import digests
from ..capture.forward import logits
from ..capture.still import still
from ..trees import mx

_LONGEST = 512  # tokens of a prompt that are looked at


def parameters_digest(module: Any) -> str:
    """Over names and digests of all parameters that can move; of all, where none can."""
    return digests.digests(trees.trainable(module) or trees.parameters(module))


def training_modules(module: Any) -> int:
    """Dropout layers that are in force: in training mode, with a probability above 0."""
    return sum(
        bool(each.training) and 0 <= (1 if (keep := trees.attribute(each, "_p_1")) is None else keep) < 1
        for _, each in trees.modules(module)
    )


def forwards(module: Any, ids: Sequence[int]) -> dict[str, float]:
    """repeat_difference, eval_difference and logit_scale: max abs over the logits of the prompt.

    Random states stay as they were.
    """
    core, ids = mx(), ids[:_LONGEST]
    with still(module, evaluation=False):
        first = logits(module, ids).astype(core.float32)
        second = logits(module, ids).astype(core.float32)
        core.eval(first, second)
    found = {"repeat_difference": apart(first, second), "logit_scale": float(core.abs(first).max().item())}
    if not any(each.training for _, each in trees.modules(module)):
        return found | {"eval_difference": found["repeat_difference"]}  # these were in evaluation mode
    with still(module, evaluation=True):
        third = logits(module, ids).astype(core.float32)
        core.eval(third)
    return found | {"eval_difference": apart(first, third)}


def apart(a: Any, b: Any) -> float:
    """max abs of the difference; 0 where both hold the same bits, infinities included."""
    core = mx()
    if core.array_equal(a, b, equal_nan=True).item():
        return 0.0
    return float(core.abs(a - b).max().item())
