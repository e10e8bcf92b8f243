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

Within = Callable[[Any, Any, bool], bool]
"""(as training began, as it is now, does it stand under an adapter) -> is it to be put back?"""


_BESIDE, _TURNED = 0.5, 0.01
"""Of a tensor that shrank: the share of the change, and of its norm, that may be else; rounding is."""


def _under_adapters(module: Any) -> set[str]:
    """Names of the weights that adapters add to."""
    held = [path for path, each in trees.modules(module) if "lora_a" in each]
    return {f"{path}.{inner}.weight" for path in held for inner in ("linear", "embedding")}


def shrunk(before: Any, now: Any, under: bool = False) -> bool:
    """Is most of what changed of a tensor one factor below 1?"""
    core = mx()
    if not core.issubdtype(before.dtype, core.floating):
        return False
    was, then = (each.astype(core.float32).reshape(-1) for each in (before, now))
    size = core.linalg.norm(was).item()
    left = (was * then).sum().item() / size**2 if size else 1.0
    if not 0 < left < 1:
        return False
    beside = core.linalg.norm(then - left * was).item()
    return bool(beside <= min(_BESIDE * (1 - left), _TURNED * left) * size)


def hold(
    run: Moments,
    name: str,
    within: Within = lambda before, now, under: True,
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
            under = _under_adapters(module)
            moved = [
                (path, each)
                for path, each in frozen.items()
                if path in now
                and path not in trained
                and path not in skipped
                and now[path].shape == each.shape
                and not core.array_equal(now[path], each).item()
                and within(each, now[path], path in under)
            ]
            if moved:
                module.update(trees.unflatten(moved))
                request.acted(name, f"{len(moved)} tensors put back")

    training.cure(run, name, held)
    run.on_boundary(restore)
