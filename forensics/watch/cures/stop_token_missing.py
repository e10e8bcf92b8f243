"""The token that ends answers in training ends them in generation as well."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import generation, request


def ended(call: dict[str, Any]) -> str | None:
    tokenizer, ends = call.get("tokenizer"), request.fact("ends")
    if tokenizer is None or not ends:
        return None
    from mlx_lm.tokenizer_utils import TokenizerWrapper

    if not isinstance(tokenizer, TokenizerWrapper):
        call["tokenizer"] = tokenizer = TokenizerWrapper(tokenizer)
    known = set(tokenizer.eos_token_ids)
    missing = set(ends) - known
    if not missing:
        return None
    tokenizer._eos_token_ids = known | missing
    return f"{len(missing)} ids added to the stop set"


def install(run: Moments) -> None:
    generation.cure("stop-token-missing", ended)
