"""A cache that is a program's own lists and dicts: does the model say with it what it says without?

Asked once a model, on the prompt that the program itself reads into an empty one, and on copies of that.
"""

from __future__ import annotations

from typing import Any

from ..capture.isolation import still
from ..models import Model
from ..places import forward
from ..run import watch
from ..trees import flatten, is_array, mx, output_array
from .promptcheck import distance

_LONGEST = 512  # tokens of a prompt that are read again
_SINGLE = 2  # tokens at its end that are read one by one

_asked: set[str] = set()  # numbers of models


def look(model: Model, module: Any, inputs: Any, cache: Any, plain: bool) -> None:
    """The program is about to read `inputs` (1, tokens) with this cache; `plain`: with nothing beside it."""
    length = inputs.shape[1]
    if not plain or model.number in _asked or not _SINGLE + 1 < length <= _LONGEST:
        return
    if watch.options.get("selftest") == "off" or not _is_empty(cache):
        return
    _asked.add(model.number)
    try:
        with watch.within("quiet"), still(module, evaluation=True):
            found = _compare(module, inputs, cache)
    except Exception:  # noqa: BLE001   the model is the program's own, and may refuse what we ask
        return
    if found is not None:
        row: dict[str, Any] = {"model": model.number, "place": forward(module), "samples": _SINGLE, **found}
        watch.row("selftests", **row, test="cache")


def _compare(module: Any, ids: Any, cache: Any) -> dict[str, float] | None:
    """least, most: how far the outputs of the last tokens are apart; rounding: those of a prefix by itself.

    None where the model keeps nothing in the cache.
    """
    core, own = mx(), _copied(cache)
    begun = ids.shape[1] - _SINGLE
    whole, prefix = _said(module, ids), _said(module, ids[:, :begun])
    _said(module, ids[:, :begun], own)
    if not any(is_array(held) for _, held in flatten(own)):
        return None
    steps = [_said(module, ids[:, i : i + 1], own)[:, -1] for i in range(begun, ids.shape[1])]
    core.eval(whole, prefix, steps)
    apart = sorted(distance(whole[:, begun + i], each) for i, each in enumerate(steps))
    return {
        "least": apart[0], "most": apart[-1], "rounding": distance(whole[:, :begun], prefix),
        "scale": float(core.abs(whole).max().item()),
    }  # fmt: skip


def _said(module: Any, *given: Any) -> Any:
    """(1, tokens, width) float32."""
    z = output_array(module(*given))
    if z is None or z.ndim != 3 or z.shape[1] != given[0].shape[1]:
        raise ValueError("the model answers in another form")
    return z.astype(mx().float32)


def _is_empty(cache: Any) -> bool:
    """Lists and dicts that hold nothing yet."""
    if isinstance(cache, dict):
        return type(cache) is dict and all(map(_is_empty, cache.values()))
    if isinstance(cache, list):
        return all(map(_is_empty, cache))
    return cache is None


def _copied(cache: Any) -> Any:
    if isinstance(cache, dict):
        return {key: _copied(value) for key, value in cache.items()}
    return [_copied(value) for value in cache] if isinstance(cache, list) else cache
