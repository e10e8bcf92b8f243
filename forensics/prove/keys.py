"""The keys of a configuration (YAML or JSON, as `mlx_lm.lora --config` reads it) that a proved cure changes.

A key is edited where it stands on one line of its own, once; comments and order stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from forensics.prove.edits import MLX_LM

LAYERS = 16
"""mlx-lm's own number of adapted layers, where none was declared."""


def edited(text: str, cure: str, facts: Mapping[str, Any], *, braces: bool) -> str | None:
    """The text with the cure's key changed; None where it has none there, or it would be a guess.

    Args:
        braces: it is JSON.
    """
    edit = KEYS.get(cure)
    key, wrong, right = edit(facts) if edit else ("", None, None)
    if not key:
        return None
    line = re.compile(
        rf'^(?P<head>[ \t]*"?{re.escape(key)}"?[ \t]*:[ \t]*)(?P<value>[^#\n]*?)(?P<tail>,?[ \t]*(?:#.*)?)$',
        re.M,
    )
    found = list(line.finditer(text))
    if len(found) != 1 or (wrong is not None and not wrong(found[0]["value"].strip())):
        return None
    start, end = found[0].span("value")
    new = _without(text, found[0], braces) if right is None else text[:start] + right + text[end:]
    return new if not braces or _reads(new) else None


def _without(text: str, found: re.Match[str], braces: bool) -> str:
    """Without the line, and without the items of a list below it."""
    rest = text[found.end() :].removeprefix("\n")
    while not braces and not found["value"].strip() and re.match(r"[ \t]*-[ \t]", rest):
        rest = rest.partition("\n")[2]
    return text[: found.start()] + rest


def _reads(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _zero(value: str) -> bool:
    try:
        return float(value) == 0
    except ValueError:
        return False


Edit = tuple[str, Callable[[str], bool] | None, str | None]
"""(key, what its value must be, what it becomes; None: the key is left out)."""


def _rate(facts: Mapping[str, Any]) -> Edit:
    rate = facts.get("rate")
    return ("learning_rate", _zero, repr(rate)) if rate else ("", None, None)


def _scale(facts: Mapping[str, Any]) -> Edit:
    return "scale", _zero, repr((facts.get("adapter") or {}).get("scale") or MLX_LM["scale"])


KEYS: Mapping[str, Callable[[Mapping[str, Any]], Edit]] = {
    "learning-rate-zero": _rate,
    "lora-inert": _scale,
    "prompt-in-loss": lambda facts: ("mask_prompt", lambda value: value.lower() == "false", "true"),
    "nothing-trainable": lambda facts: ("num_layers", _zero, str(LAYERS)),
    "lora-target-unmatched": lambda facts: ("keys", None, None),
}
"""Cures that change a key."""
