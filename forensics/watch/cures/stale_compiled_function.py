"""No function is compiled, so each call sees the parameters as they are."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import told


def plain(module: Any) -> None:
    module.disable_compile()
    told.acted("stale-compiled-function", "nothing is compiled")


def install(run: Moments) -> None:
    run.patch("mlx.core", plain)
