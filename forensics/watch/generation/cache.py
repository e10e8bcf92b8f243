"""Prompt caches that the program keeps.

What was read into them, by which state of the model, and whether they still agree with it.
"""

from __future__ import annotations

import contextlib
import copy
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..capture import tensors
from ..capture.forwardpass import logits
from ..capture.isolation import still
from ..models import Model
from ..originals import os
from ..run import watch
from ..trees import flatten, mx
from ..wrapping import bound, wrap
from .promptcheck import distance

_LONGEST = 2048  # tokens that are read again to compare
_COPIES = 256  # states of caches that are told from others by their keys


@dataclass(frozen=True)
class Filled:
    """What a cache holds: token ids, and the updates of the model when its oldest token was read."""

    model: str
    updates: int
    ids: tuple[int, ...] = field(repr=False)


_known: weakref.WeakKeyDictionary[Any, Filled] = weakref.WeakKeyDictionary()  # by the first layer's cache
_saved: dict[str, Filled] = {}  # by path
_marks: dict[str, Filled] = {}  # by the digest of the first keys, as they were when a generation began


def tokens_in(cache: Any) -> int:
    """How many tokens a prompt cache holds; 0 for none, and for what is no cache of mlx-lm's."""
    return max((_positions(layer) for layer in _layers(cache)), default=0)


def _layers(cache: Any) -> list[Any]:
    return list(cache) if isinstance(cache, (list, tuple)) else [] if cache is None else [cache]


def _positions(layer: Any) -> int:
    parts = getattr(layer, "caches", None)
    if isinstance(parts, (list, tuple)):
        return max(map(_positions, parts), default=0)
    offset = getattr(layer, "offset", 0)
    return offset if isinstance(offset, int) else 0


def filled(model: Model, cache: Any, ids: Sequence[int]) -> None:
    """These ids were read, or produced, with this cache after what it held before."""
    first = _first(cache)
    if first is None:
        return
    before = _remembered(first)
    if before is None or before.model != model.number or not before.ids:
        before = Filled(model.number, model.updates, ())
    _remember(first, replace(before, ids=(*before.ids, *ids)))


def look(model: Model, cache: Any, ids: Sequence[int], compare: bool) -> dict[str, Any]:
    """cache_tokens, and where what it holds is known: cache_repeated, cache_updates_behind, cache_difference.

    The cache itself is not touched.

    `ids` are about to be read with it. Called before each generation, so that what was trimmed or cleared is
    noted, too.
    """
    tokens = tokens_in(cache)
    first = _first(cache)
    if not tokens:
        if _remembered(first) is not None:
            del _known[first]
        return {"cache_tokens": 0}
    filled = _remembered(first) or _twin(first, tokens)
    row: dict[str, Any] = {"cache_tokens": tokens}
    if filled is None or len(filled.ids) < tokens:
        return row
    filled = replace(filled, ids=filled.ids[:tokens])
    _remember(first, filled)
    mark = _mark(first)
    if mark is not None and len(_marks) < _COPIES:
        _marks[mark] = filled
    if tokens > 1 and tuple(ids[:tokens]) == filled.ids:
        row["cache_repeated"] = tokens
    if filled.model == model.number:
        row["cache_updates_behind"] = model.updates - filled.updates
    empty = [_emptied(layer) for layer in _layers(cache)]
    if compare and ids and tokens + len(ids) <= _LONGEST and all(layer is not None for layer in empty):
        row["cache_difference"] = _difference(model.module, cache, empty, filled.ids, ids)
    return row


def holds(cache: Any, ids: Sequence[int]) -> bool:
    """Is what a cache holds just these ids?"""
    filled = _remembered(_first(cache))
    return filled is not None and filled.ids == tuple(ids) and tokens_in(cache) == len(ids)


def again(module: Any, cache: Any) -> list[Any] | None:
    """What a cache holds, read again by the model as it is now, into a cache of the same kind.

    None where it is not known what that is, or nothing was updated since.
    """
    held, first, model = tokens_in(cache), _first(cache), watch.record_of(module)
    found = None if not held or first is None else _remembered(first) or _twin(first, held)
    if found is None or model is None or len(found.ids) < held or found.updates >= model.updates:
        return None
    empty = [_emptied(layer) for layer in _layers(cache)]
    if any(layer is None for layer in empty):
        return None
    with watch.within("quiet"), still(module, evaluation=True):
        mx().eval(logits(module, found.ids[:held], empty))
    _remember(empty[0], Filled(model.number, model.updates, found.ids[:held]))
    return empty


def take_over(cache: Any, fresh: list[Any]) -> None:
    """Have a cache hold what `fresh`, one of the same kind, holds."""
    for layer, new in zip(_layers(cache), fresh, strict=True):
        vars(layer).update(vars(new))
    known = _remembered(_first(fresh))
    if known is not None:
        _remember(_first(cache), known)


def _difference(
    module: Any, cache: Any, empty: list[Any], tokens: tuple[int, ...], ids: Sequence[int]
) -> float:
    """max abs between the logits of `ids` read with a copy of the cache and with a fresh cache.

    All that the cache holds is read into the fresh one first.
    """
    core = mx()
    twin = copy.deepcopy(cache)
    with still(module, evaluation=True):
        cached = logits(module, ids, twin).astype(core.float32)
        logits(module, tokens, empty)
        whole = logits(module, ids, empty).astype(core.float32)
        core.eval(cached, whole)
    return distance(whole, cached)


def _emptied(layer: Any) -> Any:
    """A cache of the same kind and settings that holds nothing; None for a kind that is not known."""
    fresh = copy.copy(layer)
    if isinstance(getattr(layer, "caches", None), (list, tuple)):
        parts = [_emptied(part) for part in layer.caches]
        fresh.caches = type(layer.caches)(parts)
        return fresh if all(part is not None for part in parts) else None
    if isinstance(getattr(layer, "cache", None), list):
        fresh.cache = [None] * len(layer.cache)
        return fresh
    if not hasattr(layer, "keys") or not hasattr(layer, "offset"):
        return None
    fresh.keys = fresh.values = None
    for count in ("offset", "_idx", "start_position"):
        if hasattr(layer, count):
            setattr(fresh, count, 0)
    return fresh


def _first(cache: Any) -> Any:
    return next(iter(_layers(cache)), None)


def _remembered(first: Any) -> Filled | None:
    with contextlib.suppress(TypeError):  # a tuple of arrays cannot be held weakly
        return _known.get(first)
    return None


def _remember(first: Any, what: Filled) -> None:
    with contextlib.suppress(TypeError):
        _known[first] = what


def _twin(first: Any, length: int) -> Filled | None:
    """A copy of a cache that is known holds the same keys."""
    mark = _mark(first)
    if mark is None or mark in _marks:
        return None if mark is None else _marks[mark]
    return next(
        (
            filled
            for other, filled in list(_known.items())
            if len(filled.ids) >= length and _mark(other) == mark
        ),
        None,
    )


def _mark(layer: Any) -> str | None:
    arrays = [array for _, array in flatten(getattr(layer, "state", None))]
    return tensors.digest(arrays[0]) if arrays else None


def _save_prompt_cache(original: Callable[..., Any]) -> Callable[..., Any]:
    def save_prompt_cache(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if watch.on:
            with watch.looking("save_prompt_cache"):
                call = bound(original, args, kwargs)
                filled = _remembered(_first(call["cache"]))
                if filled is not None:
                    _saved[os.path.abspath(call["file_name"])] = replace(
                        filled, ids=filled.ids[: tokens_in(call["cache"])]
                    )
        return result

    return save_prompt_cache


def _load_prompt_cache(original: Callable[..., Any]) -> Callable[..., Any]:
    def load_prompt_cache(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if watch.on:
            with watch.looking("load_prompt_cache"):
                call = bound(original, args, kwargs)
                cache = result[0] if call.get("return_metadata") else result
                filled = _saved.get(os.path.abspath(call["file_name"]))
                if filled is not None:
                    _remember(_first(cache), filled)
        return result

    return load_prompt_cache


def follow(module: Any) -> None:
    """Patch mlx_lm.models.cache."""
    wrap(module, "save_prompt_cache", _save_prompt_cache)
    wrap(module, "load_prompt_cache", _load_prompt_cache)
