"""Questions are encoded, and answers read, by the tokenizer that was there when training began."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from ..moments import Moments
from ..repeat import generation, training
from ..wrapping import wrap

_loaded: list[Any] = []  # the newest last
_trained: list[Any] = []


def _load(original: Callable[..., Any]) -> Callable[..., Any]:
    def load_tokenizer(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        _loaded.append(result)
        return result

    return load_tokenizer


def kept(module: Any) -> str | None:
    if _loaded and not _trained:
        _trained.append(copy.deepcopy(_loaded[-1]))
    return None


def asked(call: dict[str, Any]) -> str | None:
    given, prompt = call.get("tokenizer"), call.get("prompt")
    if given is None or prompt is None or not _trained or _words(given) == _words(_trained[0]):
        return None
    call["tokenizer"] = _trained[0]
    if not isinstance(prompt, str):
        call["prompt"] = _trained[0].encode(given.decode(list(map(int, prompt))), add_special_tokens=False)
    return "asked with the tokenizer of training"


def _words(tokenizer: Any) -> dict[str, int]:
    return dict(tokenizer.get_added_vocab()) | {"": len(tokenizer.get_vocab())}


def install(run: Moments) -> None:
    training.cure(run, "tokenizer-mismatch", kept)
    generation.cure("tokenizer-mismatch", asked)
    run.patch("mlx_lm.utils", lambda module: wrap(module, "load_tokenizer", _load))
