"""What a generation's model says of its own prompt.

It is asked twice with the flags as they are, and once in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import trees
from ..capture import digests
from ..capture.forwardpass import logits
from ..capture.isolation import still
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
    """repeat_difference, eval_difference, eval_repeat_difference, logit_scale: max abs over the prompt's
    logits.

    Random states stay as they were. What differs in evaluation mode too is random by design, and no eval()
    ends it; that is only asked where two equal forwards differ.
    """
    core, ids = mx(), ids[:_LONGEST]
    first, second = _pair(module, ids, evaluation=False)
    repeat = distance(first, second)
    columns = {"repeat_difference": repeat, "logit_scale": float(core.abs(first).max().item())}
    if not any(each.training for _, each in trees.modules(module)):  # these were in evaluation mode
        return columns | {"eval_difference": repeat, "eval_repeat_difference": repeat}
    if repeat:
        third, fourth = _pair(module, ids, evaluation=True)
        return columns | {
            "eval_difference": distance(first, third),
            "eval_repeat_difference": distance(third, fourth),
        }
    with still(module, evaluation=True):
        third = logits(module, ids).astype(core.float32)
        core.eval(third)
    return columns | {"eval_difference": distance(first, third)}


def _pair(module: Any, ids: Sequence[int], *, evaluation: bool) -> tuple[Any, Any]:
    """Logits (positions, vocabulary) of two equal forwards."""
    core = mx()
    with still(module, evaluation=evaluation):
        first, second = (logits(module, ids).astype(core.float32) for _ in range(2))
        core.eval(first, second)
    return first, second


def distance(a: Any, b: Any) -> float:
    """max abs of the difference; 0 where both hold the same bits, infinities included."""
    core = mx()
    if core.array_equal(a, b, equal_nan=True).item():
        return 0.0
    return float(core.abs(a - b).max().item())
