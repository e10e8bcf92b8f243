"""What is not finite of a gradient is left out: positions at the logits, else the update and its moments.

A loss of which no position has a finite gradient is replaced by the plain one: each token teaches the next.
Where 16 bits did not hold an update whose gradients were finite, the next ones are computed in 32. A tensor
of zeros whose gradient is not finite, as that of a root is there, is moved off them by next to nothing.
"""

from __future__ import annotations

from typing import Any

from ..moments import Moments
from ..repeat import logits, updates
from ..run import watch
from ..trees import mx

_NEAR = 1e-5
_short: list[bool] = []  # did 16 bits not hold an update whose gradients were finite?
_zeros: dict[str, Any] = {}  # by name, what a tensor of zeros was moved to


def finite(lesson: logits.Lesson) -> Any:
    """No gradient at positions where it is not finite: one of them spoils that of every parameter."""
    core = mx()
    sound = core.isfinite(lesson.g).all(axis=-1, keepdims=True)
    left = core.where(sound, lesson.g, core.zeros_like(lesson.g))
    known = core.arange(lesson.ids.shape[1])[None] < lesson.ids.shape[1] - 1
    real = core.logical_and(known, core.logical_not(lesson.pad))
    plain = lesson.teach(lesson.following, lesson.mean(real, 1.0)).astype(lesson.g.dtype)
    whole = core.logical_and(core.logical_not(sound.any()), core.isfinite(lesson.z).all())
    return core.where(whole, plain, left)


def zeroed(update: updates.Update) -> str | None:
    """No gradient instead of one that is not finite: it would stay in the optimizer's moments."""
    core = mx()
    update.finite = core.array(True)
    for array in update.gradients.values():
        update.finite = core.logical_and(update.finite, core.isfinite(array).all())
    for name, array in update.gradients.items():
        update.gradients[name] = core.where(update.finite, array, core.zeros_like(array))
        if _short and name in update.old and update.old[name].dtype == core.float16:
            update.old[name] = update.old[name].astype(core.float32)
            update.gradients[name] = update.gradients[name].astype(core.float32)
    return None


def kept(update: updates.Update) -> str | None:
    core, sound = mx(), update.finite
    for array in update.new.values():
        sound = core.logical_and(sound, core.isfinite(array).all())
    failed = not watch.tracing and not sound.item()
    if failed and update.finite.item():
        _short.append(True)  # the optimizer's own numbers do not fit
    for name, old in update.old.items():
        if name in update.new:
            stays = _moved(name, old) if failed and not update.finite.item() else old
            new = core.where(sound, update.new[name], stays)
            update.new[name] = new.astype(update.dtypes[name]) if _short else new
    return "updates that are not finite dropped"


def _moved(name: str, old: Any) -> Any:
    """A tensor of zeros next to them; where that was of no use, the zeros again."""
    if name in _zeros:
        return mx().zeros_like(old) if (old == _zeros[name]).all().item() else old
    if (old != 0).any().item():
        return old
    _zeros[name] = _beside(old)
    return _zeros[name]


def _beside(zeros: Any) -> Any:
    """Numbers of either sign next to 0, no two in a row of which are alike; none are drawn."""
    core = mx()
    turns = core.arange(1, zeros.size + 1, dtype=core.float32)
    return (_NEAR * core.sin(turns * turns)).reshape(zeros.shape).astype(zeros.dtype)


def install(run: Moments) -> None:
    logits.cure("weights-not-finite", finite, logits.TARGETS)
    updates.cure(run, "weights-not-finite", before=zeroed, after=kept)
