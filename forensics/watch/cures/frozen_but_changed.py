"""What stands outside the trainable set stays as it is.

Its updates are dropped, and what the recorded run wrote there by hand is put back before it is used.
"""

from __future__ import annotations

from .. import trees
from ..moments import Moments
from ..repeat import base, request, updates


def kept(update: updates.Update) -> str | None:
    if not trees.is_module(update.model):
        return None
    trained = trees.trainable(update.model)
    frozen = [name for name in update.new if name not in trained and name in update.old]
    if not frozen or not trained:
        return None
    update.new |= {name: update.old[name] for name in frozen}
    return f"the updates of {len(frozen)} frozen tensors dropped"


def install(run: Moments) -> None:
    updates.cure(run, "frozen-but-changed", after=kept)
    if request.fact("frozen_written"):
        base.hold(run, "frozen-but-changed")
