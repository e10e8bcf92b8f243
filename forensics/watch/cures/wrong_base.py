"""An adapter is trained on the base as it was loaded, and loaded on the base on which it was trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import trees
from ..moments import Moments
from ..repeat import request, training
from ..trees import mx
from ..wrapping import bound, wrap

_NAME = "wrong-base"
_bases: list[tuple[str, dict[str, Any]]] = []  # (where from, its tensors) of the first model that was loaded


def unchanged(module: Any) -> str | None:
    """Put back what was loaded under the adapter, where the program changed it before training."""
    if not _bases or not trees.adapters(module)[0]:
        return None
    core, moved = mx(), []
    for name, array in trees.parameters(module).items():
        plain = name.replace(".linear.", ".").replace(".embedding.", ".")
        held = _bases[0][1].get(plain)
        if held is not None and held is not array and held.shape == array.shape:
            moved += [] if core.array_equal(held, array).item() else [(name, held)]
    if moved:
        module.update(trees.unflatten(moved))
    return f"{len(moved)} tensors of the base as they were loaded" if moved else None


def _load(original: Callable[..., Any]) -> Callable[..., Any]:
    def load(*args: Any, **kwargs: Any) -> Any:
        call = bound(original, args, kwargs)
        path = str(call.get("path_or_hf_repo"))
        if call.get("adapter_path") and _bases and path != _bases[0][0]:
            request.acted(_NAME, f"the adapter loaded on {_bases[0][0]}")
            return original(**{**call, "path_or_hf_repo": _bases[0][0]})
        result = original(*args, **kwargs)
        if not _bases:
            _bases.append((path, dict(trees.parameters(result[0]))))
        return result

    return load


def install(run: Moments) -> None:
    training.cure(run, _NAME, unchanged)
    run.patch("mlx_lm.utils", lambda module: wrap(module, "load", _load))
