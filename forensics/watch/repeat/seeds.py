"""Seeds, shifted alike in every repeat of one number.

Where the program sets none, one is set, so that pairs can be compared.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

from ..moments import Moments
from ..wrapping import wrap

VARIABLE = "FORENSICS_SHIFT"
_SHIFT = int(os.environ.get(VARIABLE) or 0)


def begin() -> None:
    """Before the program's first line."""
    random.seed(_SHIFT)
    wrap(random, "seed", _shifted)


def _shifted(original: Callable[..., Any]) -> Callable[..., Any]:
    def seed(*args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], int):
            args = (args[0] + _SHIFT, *args[1:])
        for name in ("seed", "a"):
            if isinstance(kwargs.get(name), int):
                kwargs[name] += _SHIFT
        return original(*args, **kwargs)

    return seed


def _generator(original: Callable[..., Any]) -> Callable[..., Any]:
    """numpy.random.default_rng: without a seed it would take one from the system."""

    def default_rng(*args: Any, **kwargs: Any) -> Any:
        given = args[0] if args else kwargs.get("seed")
        if given is None:
            return original(_SHIFT)
        return original(given + _SHIFT) if isinstance(given, int) else original(*args, **kwargs)

    return default_rng


def _core(module: Any) -> None:
    module.random.seed(_SHIFT)
    wrap(module.random, "seed", _shifted)


def _numpy(module: Any) -> None:
    if getattr(
        module.__spec__, "_initializing", False
    ):  # else it was there before mlx, and may be seeded already
        module.random.seed(_SHIFT)
    wrap(module.random, "seed", _shifted)
    wrap(module.random, "default_rng", _generator)


def install(run: Moments) -> None:
    run.patch("mlx.core", _core)
    run.patch("numpy", _numpy)
