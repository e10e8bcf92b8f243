"""Learning-rate schedules that the program makes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..moments import Moments
from ..places import where
from ..run import watch
from ..wrapping import bound, wrap

_NAMES = ("exponential_decay", "step_decay", "cosine_decay", "linear_schedule", "join_schedules")
_LENGTH = {"cosine_decay": "decay_steps", "linear_schedule": "steps", "step_decay": "step_size"}

_count = 0


def _schedule(kind: str, original: Callable[..., Any]) -> Callable[..., Any]:
    def schedule(*args: Any, **kwargs: Any) -> Any:
        function = original(*args, **kwargs)
        if watch.on and not watch.local.quiet:
            with watch.looking("schedule"):
                _record(kind, bound(original, args, kwargs))
        return function

    return schedule


def _record(kind: str, arguments: dict[str, Any]) -> None:
    global _count
    with watch.lock:
        number, _count = _count, _count + 1
    plain: dict[str, Any] = {
        key: value for key, value in arguments.items() if isinstance(value, (bool, int, float))
    }
    if kind == "join_schedules":
        plain = {
            "schedules": len(arguments["schedules"]),
            "boundaries": [b for b in arguments["boundaries"] if isinstance(b, (int, float))],
        }
    watch.row(
        "schedules",
        schedule=number,
        kind=kind,
        steps=arguments.get(_LENGTH.get(kind, "")),
        arguments=plain,
        place=where(),
    )


def _schedulers(module: Any) -> None:
    for name in _NAMES:
        if hasattr(module, name):
            wrap(module, name, functools.partial(_schedule, name))


def install(run: Moments) -> None:
    run.patch("mlx.optimizers.schedulers", _schedulers)
