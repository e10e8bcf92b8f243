"""The seeds that the program gives to the generators of random numbers: of mlx, of numpy, of Python."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..moments import Moments
from ..run import watch
from ..wrapping import wrap

_MANY = 64  # a seed for each step is a habit that the first of them show

_given: set[tuple[str, int]] = set()


def _seed(generator: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def seed(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if watch.on and not watch.local.quiet:
            with watch.looking("seed"):
                _record(generator, next(iter((*args, *kwargs.values())), None))
        return result

    return seed


def _record(generator: str, value: Any) -> None:
    if type(value) is not int or (generator, value) in _given or len(_given) >= _MANY:
        return
    _given.add((generator, value))
    watch.event("seed", generator=generator, value=value)


def _wrap(owner: Any, generator: str, *names: str) -> None:
    for name in names:
        wrap(owner, name, functools.partial(_seed, generator))


def install(run: Moments) -> None:
    run.patch("mlx.core", lambda module: _wrap(module.random, "mlx", "seed"))
    run.patch("numpy", lambda module: _wrap(module.random, "numpy", "seed", "default_rng"))
    run.patch("random", lambda module: _wrap(module, "python", "seed"))
