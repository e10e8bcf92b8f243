"""One forward of a language model, as the probe and the looks at generation need it: token ids in, logits out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ..trees import is_array, mx


def logits(module: Any, ids: Sequence[int], cache: Any = None) -> Any:
    """Logits (len(ids), vocabulary), lazily, in the type that the model gives them.

    Raises TypeError where the model answers token ids with something else.
    """
    tokens = mx().array([list(ids)])
    found = module(tokens) if cache is None else module(tokens, cache=cache)
    found = getattr(found, "logits", found)
    if isinstance(found, (tuple, list)) and found:
        found = found[0]
    if not is_array(found) or found.ndim != 3 or found.shape[:2] != tokens.shape:
        raise TypeError(f"{type(module).__name__} does not answer token ids with logits")
    return found[0]


def fresh_cache(module: Any) -> Any:
    """A key-value cache of our own for a model of mlx-lm's; None for others, which are read whole at each token."""
    library = sys.modules.get("mlx_lm.models.cache")
    if library is None or not any(each.__module__.startswith("mlx_lm.") for each in type(module).__mro__):
        return None
    return library.make_prompt_cache(module)


class Reader:
    """Reads a sequence piece by piece, and gives the logits after its end: (vocabulary,), float32."""

    def __init__(self, module: Any) -> None:
        self.module, self.cache, self.ids = module, fresh_cache(module), list[int]()

    def read(self, ids: Sequence[int]) -> Any:
        self.ids += ids
        found = (
            logits(self.module, ids, self.cache) if self.cache is not None else logits(self.module, self.ids)
        )
        return found[-1].astype(mx().float32)
