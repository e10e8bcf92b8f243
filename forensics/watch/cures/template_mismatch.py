"""A question is put through the chat template that the training rows went through."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import generation, request


def framed(call: dict[str, Any]) -> str | None:
    tokenizer: Any = call.get("tokenizer")
    prompt: Any = call.get("prompt")
    markers = request.fact("markers")
    if tokenizer is None or not markers or not request.fact("framed"):
        return None
    ids = tokenizer.encode(prompt) if isinstance(prompt, str) else [int(item) for item in prompt]
    opened = markers[1]
    if any(ids[place : place + len(opened)] == opened for place in range(len(ids))):
        return None
    text = prompt if isinstance(prompt, str) else tokenizer.decode(ids)
    chat = [{"role": "user", "content": text}]
    call["prompt"] = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    return "the question put into the template"


def install(run: Moments) -> None:
    generation.cure("template-mismatch", framed)
