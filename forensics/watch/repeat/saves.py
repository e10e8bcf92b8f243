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
from ..trees import mx
from ..wrapping import wrap
from . import request, training, updates

Arrays = dict[str, Any]
Function = Callable[[Arrays, Arrays], Arrays]
"""(what is handed over, the trained model's own tensors) -> what is saved; the former itself to leave it."""

_cures: list[tuple[str, Function]] = []
_looks: list[tuple[Callable[[str], None], bool]] = []
_again: dict[str, tuple[Callable[[Arrays], Any], Arrays]] = {}
"""By path: how it was saved, and what was handed over."""
_held: dict[int, Arrays] = {}
"""By what was handed over: the trained model's tensors at that moment."""
_begun: dict[str, Any] = {}  # tensors as training began, where a cure asks


def cure(name: str, function: Function) -> None:
    """Have `function` say what each save holds."""
    _cures.append((name, function))


def remember_the_start(run: Moments, name: str) -> None:
    """Have `as_begun` know the tensors of before training."""

    def begun(module: Any) -> str | None:
        _begun.update(trees.parameters(module))
        return None

    training.cure(run, name, begun)


def as_begun(arrays: Arrays) -> bool:
    """Is what was handed over the model of before training, or was it before any update?"""
    return _held.get(id(arrays)) == {} or _same(arrays, _begun)


def as_held(arrays: Arrays) -> bool:
    """Is what was handed over the trained model as it was at that save?"""
    return _same(arrays, _held.get(id(arrays), {}))


def _same(arrays: Arrays, others: Arrays) -> bool:
    pairs = [(each, others[name]) for name, each in arrays.items() if name in others]
    return bool(pairs) and all(
        one is other or (one.shape == other.shape and mx().array_equal(one, other).item())
        for one, other in pairs
    )


def on_directory(function: Callable[[str], None], *, adapters: bool = False) -> None:
    """Call `function(directory)` of each whole model, or each adapter, saved here.

    That is before one is loaded, and at the end.
    """
    _looks.append((function, adapters))


def whole_model(path: Any) -> bool:
    """Was a model saved in this directory, without an adapter in it?"""
    if not isinstance(path, (str, os.PathLike)):
        return False
    home = os.path.realpath(path)
    held = [arrays for file, (_, arrays) in _again.items() if os.path.dirname(file) == home]
    return bool(held) and not any(name.endswith(".lora_a") for arrays in held for name in arrays)


def live(arrays: Arrays, own: Arrays) -> Arrays:
    """The same names, each with the trained model's own array where one of that name and shape is there."""
    fits = {name: own[name] for name, each in arrays.items() if name in own and own[name].shape == each.shape}
    return {**arrays, **fits} if len(fits) * 2 > len(arrays) else arrays


def named(arrays: Arrays, own: Arrays) -> Arrays:
    """Each array under the model's own name, where it stood under one that only ends with it."""
    found = {}
    for name, each in arrays.items():
        ends = [] if name in own else [other for other in own if name.endswith(f".{other}")]
        found[max(ends, key=len, default=name)] = each
    return arrays if list(found) == list(arrays) else found


def whole(arrays: Arrays, own: Arrays) -> Arrays:
    """Every tensor of the trained model that is trainable, where some of them are saved or none can be."""
    flat = dict(trees.flatten(arrays))
    model = updates.trained()
    trained = [] if model is None else list(trees.trainable(model))
    if not trained or (flat and not set(flat) & set(trained)):
        return arrays
    found = {**flat, **{name: own[name] for name in trained if name in own and name not in flat}}
    return arrays if list(found) == list(arrays) else found


def _own() -> Arrays:
    return {} if (model := updates.trained()) is None else trees.parameters(model)


def _cured(arrays: Arrays) -> Arrays:
    own = _own()
    for name, function in _cures:
        given, arrays = arrays, function(arrays, own)
        if arrays is not given:
            request.acted(name, f"{len(arrays)} tensors saved as the trained model holds them")
    return arrays


def _save(original: Callable[..., Any]) -> Callable[..., Any]:
    def save_safetensors(file: Any, arrays: Any, *args: Any, **kwargs: Any) -> Any:
        if watch.local.quiet or not isinstance(arrays, dict) or not isinstance(file, (str, os.PathLike)):
            return original(file, arrays, *args, **kwargs)
        _again[_path(file)] = (lambda given: original(file, given, *args, **kwargs), arrays)
        _held[id(arrays)] = _own()
        return original(file, _cured(arrays), *args, **kwargs)

    return save_safetensors


def _path(file: Any) -> str:
    path = os.path.realpath(os.fsdecode(file))
    return path if path.endswith(".safetensors") else f"{path}.safetensors"


def _renew(path: str) -> None:
    """Updates may follow a save: what lies there is brought up to them."""
    save, arrays = _again[path]
    live = _cured(arrays)
    if live is not arrays and os.path.exists(path):
        save(live)


def _load(original: Callable[..., Any]) -> Callable[..., Any]:
    def load(file: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(file, (str, os.PathLike)) and not watch.local.quiet and _path(file) in _again:
            _renew(_path(file))
        return original(file, *args, **kwargs)

    return load


def _loading(original: Callable[..., Any]) -> Callable[..., Any]:
    def load(*args: Any, **kwargs: Any) -> Any:
        _look()
        return original(*args, **kwargs)

    return load


def _before(module: Any, *names: str) -> None:
    for name in names:
        wrap(module, name, _loading)


def _look() -> None:
    for home in {os.path.dirname(path) for path in _again}:
        for function, adapters in _looks:
            if whole_model(home) != adapters:
                with watch.looking("a cure of what was saved"):
                    function(home)


def _at_end() -> None:
    for path in list(_again):
        _renew(path)
    _look()


def _core(module: Any) -> None:
    wrap(module, "save_safetensors", _save)
    wrap(module, "load", _load)


def install(run: Moments) -> None:
    if _cures or _looks:
        run.patch("mlx.core", _core)
        run.patch("mlx_lm.utils", lambda module: _before(module, "load_model", "load_adapters"))
        run.on_exit(_at_end)
