"""Of begin tokens at the head of a question one is left."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import generation, request


def single(call: dict[str, Any]) -> str | None:
    bos, prompt = request.fact("bos"), call.get("prompt")
    if bos is None or prompt is None or isinstance(prompt, str) or len(prompt) < 2:
        return None
    extra = 0
    while extra + 1 < len(prompt) and int(prompt[extra]) == int(prompt[extra + 1]) == bos:
        extra += 1
    if not extra:
        return None
    call["prompt"] = prompt[extra:]
    return f"{extra} begin tokens taken off"


def install(run: Moments) -> None:
    generation.cure("double-bos", single)
