"""No function is compiled, so each call draws anew."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import request


def plain(module: Any) -> None:
    module.disable_compile()
    request.acted("compile-random-frozen", "nothing is compiled")


def install(run: Moments) -> None:
    run.patch("mlx.core", plain)
