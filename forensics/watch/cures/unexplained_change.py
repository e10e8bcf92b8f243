"""What no update is meant to change is as it was when training began, at each answer, save and end."""

from __future__ import annotations

from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import request, training
from ..trees import mx

_kept: list[tuple[Any, dict[str, Any]]] = []  # (module, its frozen tensors as training began)


def held(module: Any) -> str | None:
    trained = trees.trainable(module)
    core = mx()
    frozen = {
        name: core.array(each) for name, each in trees.parameters(module).items() if name not in trained
    }
    core.eval(frozen)
    _kept.append((module, frozen))
    return None


def _restore() -> None:
    core = mx()
    for module, frozen in _kept:
        now = trees.parameters(module)
        moved = [
            (name, each)
            for name, each in frozen.items()
            if name in now and now[name].shape == each.shape and not core.array_equal(now[name], each).item()
        ]
        if moved:
            module.update(trees.unflatten(moved))
            request.acted("unexplained-change", f"{len(moved)} tensors put back")


def install(run: Moments) -> None:
    training.cure(run, "unexplained-change", held)
    run.on_boundary(_restore)
