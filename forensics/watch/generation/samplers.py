"""How tokens are chosen: the settings that a sampler was made with.

And whether the tokens that it chose were the best ones.
"""

from __future__ import annotations

import contextlib
import sys
import weakref
from collections.abc import Callable
from typing import Any

from ..run import watch
from ..wrapping import bound, wrap

_NAMES = {"temp": "temperature"}
_made: list[tuple[Any, dict[str, Any]]] = []  # weak reference to a sampler -> its settings


def _make_sampler(original: Callable[..., Any]) -> Callable[..., Any]:
    def make_sampler(*args: Any, **kwargs: Any) -> Any:
        sampler = original(*args, **kwargs)
        if watch.on:
            with watch.looking("make_sampler"):
                call = bound(original, args, kwargs)
                settings = {
                    _NAMES.get(key, key): value
                    for key, value in call.items()
                    if isinstance(value, (bool, int, float))
                }
                _made[:] = [entry for entry in _made if entry[0]() is not None]
                with contextlib.suppress(TypeError):
                    _made.append((weakref.ref(sampler), settings))
        return sampler

    return make_sampler


def describe(sampler: Any) -> tuple[str, dict[str, Any]]:
    """(greedy | sampled | unknown, settings as far as seen) of what a generation was given as its sampler."""
    library = sys.modules.get("mlx_lm.sample_utils")
    greedy = getattr(library, "greedy_sampler", None)
    if sampler is None or (greedy is not None and sampler is greedy):
        return "greedy", {"temperature": 0.0}
    for reference, settings in _made:
        if reference() is sampler:
            return ("sampled" if settings.get("temperature") else "greedy"), settings
    return "unknown", {}


def follow(module: Any) -> None:
    """Patch mlx_lm.sample_utils."""
    wrap(module, "make_sampler", _make_sampler)
