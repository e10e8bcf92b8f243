"""What is saved, cured: the file gets the arrays of the model that was trained.

That happens at the save, before the file is read, and when the program ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from .. import trees
from ..moments import Moments
from ..run import watch
from ..wrapping import wrap
from . import told, updates

_cures: list[str] = []
_again: dict[str, tuple[Callable[[dict[str, Any]], Any], dict[str, Any]]] = {}
"""By path: how it was saved, and what was handed over."""


def cure(name: str) -> None:
    """Have every save of the trained model's tensors hold what that model holds."""
    _cures.append(name)


def _live(arrays: dict[str, Any]) -> dict[str, Any]:
    """The same names, each with the trained model's own array where one of that name and shape is there."""
    own = {} if (model := updates.trained()) is None else trees.parameters(model)
    fits = {name: own[name] for name, each in arrays.items() if name in own and own[name].shape == each.shape}
    return {**arrays, **fits} if len(fits) * 2 > len(arrays) else arrays


def _save(original: Callable[..., Any]) -> Callable[..., Any]:
    def save_safetensors(file: Any, arrays: Any, *args: Any, **kwargs: Any) -> Any:
        if watch.local.quiet or not isinstance(arrays, dict) or not isinstance(file, (str, os.PathLike)):
            return original(file, arrays, *args, **kwargs)
        _again[_path(file)] = (lambda given: original(file, given, *args, **kwargs), arrays)
        return original(file, _live(arrays), *args, **kwargs)

    return save_safetensors


def _path(file: Any) -> str:
    path = os.path.realpath(os.fsdecode(file))
    return path if path.endswith(".safetensors") else f"{path}.safetensors"


def _renew(path: str) -> None:
    """Updates may follow a save: what lies there is brought up to them."""
    save, arrays = _again[path]
    found = _live(arrays)
    if found is not arrays and os.path.exists(path):
        save(found)
        for name in _cures:
            told.acted(name, f"{len(found)} tensors saved as the trained model holds them")


def _load(original: Callable[..., Any]) -> Callable[..., Any]:
    def load(file: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(file, (str, os.PathLike)) and not watch.local.quiet and _path(file) in _again:
            _renew(_path(file))
        return original(file, *args, **kwargs)

    return load


def _at_end() -> None:
    for path in list(_again):
        _renew(path)


def _core(module: Any) -> None:
    wrap(module, "save_safetensors", _save)
    wrap(module, "load", _load)


def install(run: Moments) -> None:
    if _cures:
        run.patch("mlx.core", _core)
        run.on_exit(_at_end)
