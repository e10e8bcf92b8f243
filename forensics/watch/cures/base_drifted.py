"""A base that merging and unmerging left rounded is as it was when training began, where it is used."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import base
from ..trees import mx

_DRIFT = 0.05
"""The largest share of its norm by which rounding moves a tensor; an update that is still merged moves more,
or is the program's own business.
"""


def drifted(before: Any, now: Any, under: bool) -> bool:
    if not under:
        return False
    core = mx()
    wide, whole = core.float32, core.linalg.norm(before.astype(core.float32).reshape(-1)).item()
    if not whole or not core.issubdtype(before.dtype, core.floating) or base.shrunk(before, now):
        return False
    return bool(
        core.linalg.norm((now.astype(wide) - before.astype(wide)).reshape(-1)).item() <= _DRIFT * whole
    )


def install(run: Moments) -> None:
    base.hold(run, "base-drifted", drifted)
