"""Rows are not cut at a length, where mlx-lm's trainer or the tokenizer is what cuts them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..moments import Moments
from ..repeat import request
from ..wrapping import bound, wrap, wrap_methods

_NAME = "answers-truncated"
LONG = 1 << 16
"""Tokens: no row of a fine-tune is longer, and what is shorter is taken whole."""


def _whole(original: Callable[..., Any]) -> Callable[..., Any]:
    """A tokenizer's method that may be told to truncate."""

    def encode(self: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("truncation"):
            kwargs = {**kwargs, "truncation": False}
            if kwargs.get("padding") != "max_length":
                kwargs.pop("max_length", None)
            request.acted(_NAME, "rows encoded whole")
        return original(self, *args, **kwargs)

    return encode


def _train(original: Callable[..., Any]) -> Callable[..., Any]:
    """mlx-lm's trainer, whose batches are cut at `max_seq_length` of its arguments."""

    def train(*args: Any, **kwargs: Any) -> Any:
        told: Any = bound(original, args, kwargs).get("args")
        cap = getattr(told, "max_seq_length", None)
        if isinstance(cap, int) and cap < LONG:
            told.max_seq_length = LONG
            request.acted(_NAME, f"rows longer than {cap} tokens trained whole")
        return original(*args, **kwargs)

    return train


def _tokenizers(module: Any) -> None:
    owner = module.PreTrainedTokenizerBase
    wrap_methods(module, owner, dict.fromkeys(("__call__", "encode", "apply_chat_template"), _whole))


def install(run: Moments) -> None:
    run.patch("mlx_lm.tuner.trainer", lambda module: wrap(module, "train", _train))
    run.patch("transformers.tokenization_utils_base", _tokenizers)
