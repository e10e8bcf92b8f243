"""Code that a model's directory brings along, and whether the user lets it run.

Weights and settings are read without any of it. To ask a model something it is loaded, and then only by
classes of mlx-lm and transformers: what names code of its own is not loaded, whatever the installed version
would do, unless the user said `--trust`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from forensics.model.configs import page

_FILES = (
    "config.json",
    "tokenizer_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "generation_config.json",
)
_say: Callable[[str], None] | None = None


def trust(say: Callable[[str], None]) -> None:
    """Let the models that this process loads run their own code: the user said so.

    `say` is told what runs, line by line.
    """
    global _say
    _say = say


def trusted() -> bool:
    """Whether the user said so."""
    return _say is not None


def refused(directories: Iterable[Path]) -> str | None:
    """Why models there are not loaded: they would run code of their own.

    None where they have none, or it is trusted (and then told).

    Raises:
        UnreadableModel: one of their configurations cannot be read.
    """
    named = [f"{what} of {directory.name}" for directory in directories for what in own_code(directory)]
    if not named:
        return None
    if _say is None:
        return f"to load it would run its own code, {'; '.join(named)}: --trust lets it"
    for name in named:
        _say(f"forensics: --trust: {name} may run")
    return None


def own_code(directory: Path) -> list[str]:
    """What of its own a directory would run: `model.py (model_file in config.json)`; empty for most.

    Raises:
        UnreadableModel: one of its configurations cannot be read.
    """
    return [f"{what} ({key} in {name})" for name in _FILES for key, what in _named(page(directory / name))]


def _named(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if document.get("model_file") is not None:
        yield "model_file", _shown(document["model_file"])
    classes = document.get("auto_map")
    if classes:
        names = (
            classes.values()
            if isinstance(classes, dict)
            else classes
            if isinstance(classes, list)
            else [classes]
        )
        flat = (item for value in names for item in (value if isinstance(value, list) else [value]) if item)
        yield "auto_map", ", ".join(dict.fromkeys(_shown(item) for item in flat)) or "auto_map"
    if document.get("custom_pipelines"):
        yield "custom_pipelines", _shown(document["custom_pipelines"])


def _shown(value: object) -> str:
    """A name as a line bears it."""
    return "".join(c if c.isprintable() else "?" for c in str(value))[:100]
