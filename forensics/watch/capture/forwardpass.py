"""One forward of a language model for the probe and for the looks at generation.

Token ids go in, logits come out.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from ..originals import math
from ..trees import mx, output_array


def logits(module: Any, ids: Sequence[int], cache: Any = None) -> Any:
    """Logits (len(ids), vocabulary), lazily, in the type that the model gives them.

    Raises TypeError where the model answers token ids with something else.
    """
    return batch(module, [ids], cache)[0]


def batch(module: Any, rows: Sequence[Sequence[int]], cache: Any = None) -> Any:
    """Logits (rows, ids a row, vocabulary) of rows of equal length, as `logits` gives those of one."""
    tokens = mx().array([list(ids) for ids in rows])
    output = module(tokens) if cache is None else module(tokens, cache=cache)
    output = output_array(output)
    if output is None or output.ndim != 3 or output.shape[:2] != tokens.shape:
        raise TypeError(f"{type(module).__name__} does not answer token ids with logits")
    return output


def fresh_cache(module: Any) -> Any:
    """A key-value cache of our own for a model of mlx-lm's.

    None for others, which are read whole at each token.
    """
    library = sys.modules.get("mlx_lm.models.cache")
    if library is None or not any(base.__module__.startswith("mlx_lm.") for base in type(module).__mro__):
        return None
    return _small(library.make_prompt_cache(module))


_ROOM = 64  # tokens by which a cache of ours grows, in place of 256: most of its room would stay empty


def _small(caches: Sequence[Any]) -> Any:
    """Caches that have not grown yet, which grow by little; what one gives does not depend on its room."""
    for cache in caches:
        if isinstance(getattr(cache, "step", None), int):
            cache.step = min(cache.step, _ROOM)
    return caches


def merged(caches: Sequence[Any]) -> Any:
    """One cache for the sequences of several, each of them left as it is.

    None where this mlx-lm, or this kind, cannot do that.
    """
    if not caches or not all(caches):
        return None
    layers = list(zip(*caches, strict=True))
    if not all(hasattr(type(layer[0]), "merge") for layer in layers):
        return None
    return _small([type(layer[0]).merge(list(layer)) for layer in layers])


def room(cache: Any) -> float:
    """How many tokens a cache takes of which the last can be taken out again; 0 where it gives none back."""
    library: Any = sys.modules["mlx_lm.models.cache"]
    if not library.can_trim_prompt_cache(cache):
        return 0
    sizes = (getattr(each, "max_size", None) for each in cache)
    return min((size for size in sizes if isinstance(size, int)), default=math.inf)


def trim(cache: Any, count: int) -> None:
    """Take the last `count` tokens out of a cache.

    Raises RuntimeError where it does not give them back.
    """
    library: Any = sys.modules["mlx_lm.models.cache"]
    if count and library.trim_prompt_cache(cache, count) != count:
        raise RuntimeError(f"{type(cache[0]).__name__} does not give {count} tokens back")


def uneven(cache: Any) -> bool:
    """Can each row of a merged cache give back a number of tokens of its own?"""
    kind = getattr(sys.modules["mlx_lm.models.cache"], "BatchKVCache", None)
    return hasattr(kind, "finalize") and all(type(each) is kind for each in cache)


def drop(cache: Any, counts: Sequence[int]) -> None:
    """Take so many of the last tokens out of each row: they become padding on its left."""
    for each in cache:
        each.prepare(right_padding=list(counts))
        each.finalize()


class Reader:
    """Reads a sequence piece by piece, and gives the logits after each id: (ids, vocabulary), float32."""

    def __init__(self, module: Any) -> None:
        self.module, self.cache, self.ids = module, fresh_cache(module), list[int]()

    def read(self, ids: Sequence[int]) -> Any:
        """Go on with these ids."""
        self.ids += ids
        output = (
            logits(self.module, ids, self.cache)
            if self.cache is not None
            else logits(self.module, self.ids)[-len(ids) :]
        )
        return output.astype(mx().float32)

    @property
    def goes_back(self) -> bool:
        """Can it go back without reading what stays again?"""
        return self.cache is None or room(self.cache) > 0

    def back(self, count: int) -> None:
        """As if the last `count` ids had not been read."""
        if not count:
            return
        ids = self.ids[:-count]
        if self.cache is not None and room(self.cache) > 0:
            trim(self.cache, count)
        elif self.cache is not None:
            self.cache, self.ids = fresh_cache(self.module), []
            mx().eval(self.read(ids))
        self.ids = ids
