"""What is saved, cured: the arrays of the model that was trained, as they are at the save and again when the program ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import trees
from ..moments import Moments
from ..run import watch
from ..wrapping import wrap
from . import told, updates

_cures: list[str] = []
_saved: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}  # path -> further arguments of the save


def cure(run: Moments, name: str) -> None:
    """Have every save of the trained model's tensors hold what that model holds."""
    updates.follow(run)
    _cures.append(name)


def _live(arrays: dict[str, Any]) -> dict[str, Any]:
    """The same names, each with the trained model's own array where one of that name and shape is there."""
    model = updates.trained[0] if updates.trained else None
    own = trees.parameters(model) if model is not None else {}
    fits = {name: own[name] for name in arrays if name in own and own[name].shape == arrays[name].shape}
    return {**arrays, **fits} if len(fits) * 2 > len(arrays) else arrays


def _save(original: Callable[..., Any]) -> Callable[..., Any]:
    def save_safetensors(file: Any, arrays: Any, *args: Any, **kwargs: Any) -> Any:
        if not watch.local.quiet and isinstance(arrays, dict) and isinstance(file, str):
            found = _live(arrays)
            if found is not arrays:
                _saved[file] = (args, kwargs)
                arrays = found
                for name in _cures:
                    told.acted(name, f"saved the {len(found)} tensors that the trained model holds")
                _again[file] = (original, list(found))
        return original(file, arrays, *args, **kwargs)

    return save_safetensors


_again: dict[str, tuple[Callable[..., Any], list[str]]] = {}


def _at_end() -> None:
    """Updates may follow a save: what lies on disk is brought up to them."""
    for file, (save, names) in _again.items():
        own = trees.parameters(updates.trained[0])
        args, kwargs = _saved[file]
        save(file, {name: own[name] for name in names if name in own}, *args, **kwargs)


def install(run: Moments) -> None:
    if _cures:
        run.patch("mlx.core", lambda module: wrap(module, "save_safetensors", _save))
        run.on_exit(_at_end)
