"""What the tokenizers of the program give, by the line that asked them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..moments import Moments
from ..run import watch
from ..training import encoded
from ..wrapping import wrap


def _encode(original: Callable[..., Any]) -> Callable[..., Any]:
    def encode(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if watch.on and not watch.local.quiet:
            with watch.looking("encoding"):
                encoded.remember(result)
        return result

    return encode


def _tokenizers(module: Any) -> None:
    for name in ("encode", "__call__", "apply_chat_template"):
        wrap(module.PreTrainedTokenizerBase, name, _encode)


def install(run: Moments) -> None:
    run.patch("transformers.tokenization_utils_base", _tokenizers)
