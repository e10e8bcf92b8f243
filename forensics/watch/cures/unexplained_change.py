"""What no recorded call changed is as it was when training began, at each answer, save and end."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import base, request, updates

_updated: set[str] = set()  # by an optimizer, frozen or not


def note(update: updates.Update) -> str | None:
    _updated.update(update.new)
    return None


def elsewhere(before: Any, now: Any, under: bool) -> bool:
    """Under an adapter weights are merged and taken out again: what that leaves is another fault."""
    return not under


def install(run: Moments) -> None:
    if not request.fact("frozen_written"):  # a write by hand is another fault
        updates.cure(run, "unexplained-change", after=note)
        base.hold(run, "unexplained-change", elsewhere, _updated)
