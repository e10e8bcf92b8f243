"""Programs that run as several ranks: which of them this process is.

Their launchers differ, so mlx itself is listened to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..distributed import joined
from ..moments import Moments
from ..run import watch
from ..wrapping import wrap


def _init(original: Callable[..., Any]) -> Callable[..., Any]:
    def init(*args: Any, **kwargs: Any) -> Any:
        group = original(*args, **kwargs)
        with watch.looking("ranks"):
            joined(int(group.rank()), int(group.size()))
        return group

    return init


def install(run: Moments) -> None:
    run.patch("mlx.core", lambda module: wrap(module.distributed, "init", _init))
