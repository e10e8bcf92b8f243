"""Beside an adapter the base stays as it is: its updates are dropped."""

from __future__ import annotations

from ..moments import Moments
from ..repeat import updates

_OWN = ("lora_a", "lora_b", "m")


def kept(update: updates.Update) -> str | None:
    own = [name for name in update.new if name.rpartition(".")[2] in _OWN]
    others = [name for name in update.new if name not in own and name in update.old]
    if not own or not others:
        return None
    update.new |= {name: update.old[name] for name in others}
    return f"the updates of {len(others)} base tensors dropped"


def install(run: Moments) -> None:
    updates.cure(run, "base-not-frozen", after=kept)
