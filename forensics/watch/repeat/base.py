"""Tensors that no update is meant to change, held as training begins and put back before they are used.

What the program makes trainable later on is its own again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from .. import trees
from ..moments import Moments
from ..trees import mx
from . import request, training

Within = Callable[[Any, Any], bool]
"""(as training began, as it is now) -> is it to be put back?"""


_TURNED = 1e-4
"""1 - cosine of a tensor that was only scaled: what the rounding of 16 bits leaves."""


def shrunk(before: Any, now: Any) -> bool:
    """Is a tensor what it was times one factor that is below 1 by more than rounding?"""
    core = mx()
    if not core.issubdtype(before.dtype, core.floating):
        return False
    was, then = (each.astype(core.float32).reshape(-1) for each in (before, now))
    size, left = core.linalg.norm(was).item(), core.linalg.norm(then).item()
    if not 0 < left < size * (1 - trees.unit(before.dtype) / 4):
        return False
    return bool((was * then).sum().item() > (1 - _TURNED) * size * left)


def hold(
    run: Moments,
    name: str,
    within: Within = lambda before, now: True,
    skipped: Collection[str] = (),
) -> None:
    """Put frozen tensors back at each answer, save and end, where they differ by what `within` takes.

    Args:
        skipped: names of those that stay as they are, when they are looked at.
    """
    kept: list[tuple[Any, dict[str, Any]]] = []  # (module, its frozen tensors as training began)

    def held(module: Any) -> str | None:
        trained = trees.trainable(module)
        core = mx()
        frozen = {
            path: core.array(each) for path, each in trees.parameters(module).items() if path not in trained
        }
        core.eval(frozen)
        kept.append((module, frozen))
        return None

    def restore() -> None:
        core = mx()
        for module, frozen in kept:
            now, trained = trees.parameters(module), trees.trainable(module)
            moved = [
                (path, each)
                for path, each in frozen.items()
                if path in now
                and path not in trained
                and path not in skipped
                and now[path].shape == each.shape
                and not core.array_equal(now[path], each).item()
                and within(each, now[path])
            ]
            if moved:
                module.update(trees.unflatten(moved))
                request.acted(name, f"{len(moved)} tensors put back")

    training.cure(run, name, held)
    run.on_boundary(restore)
