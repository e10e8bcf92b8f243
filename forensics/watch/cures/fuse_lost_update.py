"""Fused weights that lack the adapter's update get it: base and update, exactly."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import fused


def install(run: Moments) -> None:
    fused.install(run, "fuse-lost-update", lambda share: -0.5 < share < 0.5)
