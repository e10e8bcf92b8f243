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
        made = original(*args, **kwargs)
        with watch.looking("ranks"):
            joined(int(made.rank()), int(made.size()))
        return made

    return init


def install(run: Moments) -> None:
    run.patch("mlx.core", lambda module: wrap(module.distributed, "init", _init))
