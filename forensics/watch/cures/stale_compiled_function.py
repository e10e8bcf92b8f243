"""No function is compiled, so each call sees the parameters as they are."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import request


def plain(module: Any) -> None:
    module.disable_compile()
    request.acted("stale-compiled-function", "nothing is compiled")


def install(run: Moments) -> None:
    run.patch("mlx.core", plain)
