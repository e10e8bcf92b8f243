"""The configuration that is saved beside a model has the settings of the one that was trained."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from ..moments import Moments
from ..repeat import request, saves
from ..wrapping import bound, wrap

OF_THE_FILE = {"quantization", "quantization_config", "tie_word_embeddings", "torch_dtype", "dtype"}
"""Settings that say how these very weights lie, and may be changed with them."""
_from: list[str] = []  # where the first model was loaded from


def completed(directory: str) -> None:
    """Of a saved whole model, before it is loaded."""
    restored("config-lost", directory, lambda key: key not in OF_THE_FILE)


def restored(name: str, directory: str, meant: Callable[[str], bool]) -> None:
    """Write the settings of the first model that was loaded, those that are `meant`, beside a saved model.

    Args:
        name: the cure that does so.
    """
    written, source = os.path.join(directory, "config.json"), _from[0] if _from else directory
    if os.path.realpath(source) == os.path.realpath(directory) or not os.path.exists(written):
        return
    trained, found = _read(os.path.join(source, "config.json")), _read(written)
    lacks = {
        key: value
        for key, value in trained.items()
        if meant(key) and (key not in found or found[key] != value)
    }
    if lacks:
        with open(written, "w", encoding="utf-8") as file:
            json.dump({**found, **lacks}, file, indent=2)
        request.acted(name, f"{', '.join(sorted(lacks))} written as the trained model has them")


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _loaded(original: Callable[..., Any]) -> Callable[..., Any]:
    def load_model(*args: Any, **kwargs: Any) -> Any:
        path = bound(original, args, kwargs).get("model_path")
        if path is not None and not _from:
            _from.append(os.fspath(path))
        return original(*args, **kwargs)

    return load_model


def follow(run: Moments) -> None:
    """Note where the first model is loaded from."""
    run.patch("mlx_lm.utils", lambda module: wrap(module, "load_model", _loaded))


def install(run: Moments) -> None:
    follow(run)
    saves.on_directory(completed)
