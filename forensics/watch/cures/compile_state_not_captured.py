"""No function is compiled, so the step has its state."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import request


def plain(module: Any) -> None:
    module.disable_compile()
    request.acted("compile-state-not-captured", "nothing is compiled")


def install(run: Moments) -> None:
    run.patch("mlx.core", plain)
