"""A prompt cache of before the last update is read again by the model that answers."""

from __future__ import annotations

from typing import Any

from ..generation import cache as caches
from ..moments import Moments
from ..repeat import generation


def refilled(call: dict[str, Any]) -> str | None:
    holder = call if call.get("prompt_cache") is not None else call.get("kwargs") or {}
    given, model = holder.get("prompt_cache"), call.get("model")
    fresh = None if given is None or model is None else caches.again(model, given)
    if fresh is None:
        return None
    holder["prompt_cache"] = fresh
    return f"a cache of {caches.tokens_in(fresh)} tokens read again"


def read_again(call: dict[str, Any]) -> str | None:
    """The same in the cache itself, which a loop of the program's own holds."""
    fresh = caches.again(call["model"], call["prompt_cache"])
    if fresh is None:
        return None
    caches.take_over(call["prompt_cache"], fresh)
    return f"a cache of {caches.tokens_in(fresh)} tokens read again"


def install(run: Moments) -> None:
    generation.cure_call("stale-prompt-cache", read_again)
    generation.cure("stale-prompt-cache", refilled)
