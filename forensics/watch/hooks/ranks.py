"""Programs that run as several ranks: which of them this process is. Their launchers differ, so mlx itself is listened to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..run import watch, wrap

_group: tuple[int, int] | None = None


def group() -> tuple[int | None, int | None]:
    """(rank, ranks) of this process; None of each where it is alone."""
    return _group or (None, None)


def _init(original: Callable[..., Any]) -> Callable[..., Any]:
    def init(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        with watch.looking("ranks"):
            global _group
            if _group is None and made.size() > 1:
                _group = (int(made.rank()), int(made.size()))
        return made

    return init


HOOKS: dict[str, Callable[[Any], None]] = {"mlx.core": lambda module: wrap(module.distributed, "init", _init)}
