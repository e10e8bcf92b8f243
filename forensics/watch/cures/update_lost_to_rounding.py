"""Parameters in 16 bits are updated in 32 and rounded only for the model."""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import updates
from ..run import watch
from ..trees import mx

_masters: dict[str, tuple[Any, Any]] = {}  # name -> (what the model was given, the same in 32 bits)


def widened(update: updates.Update) -> str | None:
    """Before: the optimizer sees what the parameter would be without rounding."""
    if watch.tracing:  # a compiled step keeps nothing of ours between its calls
        return None
    core = mx()
    rough = [name for name, old in update.old.items() if old.dtype in (core.float16, core.bfloat16)]
    for name in rough:
        old = update.old[name]
        given, master = _masters.get(name, (old, old.astype(core.float32)))
        # where the program wrote something else in the meantime, that is what counts
        fits = given.shape == old.shape
        update.old[name] = (
            core.where(given == old, master, old.astype(core.float32)) if fits else old.astype(core.float32)
        )
        update.gradients[name] = update.gradients[name].astype(core.float32)
    return f"{len(rough)} tensors updated in 32 bits" if rough else None


def rounded(update: updates.Update) -> str | None:
    """After: the model gets it in its own type."""
    core = mx()
    for name, new in update.new.items():
        dtype = update.dtypes.get(name)
        if dtype is not None and new.dtype == core.float32 and dtype != core.float32:
            given = new.astype(dtype)
            _masters[name] = (given, new)
            update.new[name] = given
    return None


def install(run: Moments) -> None:
    updates.cure(run, "update-lost-to-rounding", before=widened, after=rounded)
