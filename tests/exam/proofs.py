"""What the facts of a plain run say.

Whether a twin is sound, and the shares and counts that proofs ask for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

PAD, END = 0, 2
Facts = dict[str, Any]


def sound(facts: Facts, tags: frozenset[str]) -> str | None:
    """Why a fault-free twin is no sound program; None where it is one."""
    if facts.get("finite") is not True:
        return "numbers are not finite"
    if not facts.get("moved"):
        return "nothing was trained"
    if "lora" in tags and "fused" not in tags and facts.get("base moved") and "norms-too" not in tags:
        return "an adapter's base moved"
    losses = [entry["loss"] for entry in facts["steps"]]
    if not {"own", "dpo", "policy"} & tags and (len(losses) < 4 or min(losses[-3:]) > 0.85 * losses[0]):
        return "it does not learn"
    again = [entry["loss"] for entry in facts["steps"] if entry["batch"] == facts["steps"][0]["batch"]]
    if not {"own", "dpo", "policy"} & tags and again[-1] > again[0]:
        return "it unlearns its first batch"
    if "dpo" in tags and losses[-1] > losses[0] - 0.005:
        return "it does not learn"
    if facts.get("reload differs", 0) > 1e-3:
        return "its reload differs"
    if facts.get("fuse differs", 0) > 5e-3:
        return "its fuse differs"
    return "its answers are of another model" if any(stale(facts)) else None


def forwards(facts: Facts) -> Iterator[dict[str, Any]]:
    for taught in facts.get("teaches", []):
        yield from taught.get("forwards", [])


def positions(facts: Facts) -> Iterator[tuple[list[int], int, int, float]]:
    """(inputs of the row, position, target, weight) of each position with weight."""
    for forward in forwards(facts):
        for inputs, targets, weights in zip(
            forward["inputs"], forward["targets"], forward["weights"], strict=True
        ):
            for place, (target, weight) in enumerate(zip(targets, weights, strict=True)):
                if weight > 1e-5:
                    yield inputs, place, target, weight


def share(facts: Facts, kind: str) -> float:
    """The share of all weight that lies on targets of one kind.

    Kinds are pad, end, prompt, same, next, next-but-one.
    """
    total = part = 0.0
    for inputs, place, target, weight in positions(facts):
        total += weight
        part += weight * _is(kind, inputs, place, target)
    return part / total if total else 0.0


def _is(kind: str, inputs: list[int], place: int, target: int) -> bool:
    if kind == "pad":
        return target == PAD
    if kind == "end":
        return target == END
    if kind == "prompt":
        return place + 1 < answer_start(inputs)
    at = {"same": place, "next": place + 1, "next-but-one": place + 2}[kind]
    return at < len(inputs) and inputs[at] == target and (kind == "same" or inputs[place] != target)


def answer_start(inputs: list[int]) -> int:
    """Roughly where the last turn's answer begins: after the last start token and two tokens of header."""
    starts = [place for place, one in enumerate(inputs) if one == 1]
    return starts[-1] + 3 if starts else 0


def weight(facts: Facts) -> float:
    return sum(weight for *_, weight in positions(facts))


def stale(facts: Facts) -> list[bool]:
    return [(entry.get("stale") or 0) > 1e-3 for entry in facts["answers"]]


def moved(facts: Facts) -> bool:
    return bool(facts.get("moved"))


def losses(facts: Facts) -> list[float]:
    return [entry["loss"] for entry in facts["steps"]]


def gradients(facts: Facts) -> list[float]:
    return [entry["gradient"] for entry in facts["steps"] if "gradient" in entry]


def notes(facts: Facts, key: str) -> list[Any]:
    return list(facts["notes"].get(key, []))


def largest(facts: Facts) -> int:
    """The largest id that went into the model."""
    return max((one for forward in forwards(facts) for row in forward["inputs"] for one in row), default=0)
