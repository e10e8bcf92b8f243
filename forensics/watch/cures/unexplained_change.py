"""What no update is meant to change is as it was when training began, at each answer, save and end."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import base


def install(run: Moments) -> None:
    base.hold(run, "unexplained-change")
