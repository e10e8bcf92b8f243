"""Which findings have a cure: each is a file of the watcher, named as the finding's id."""

from __future__ import annotations

from pathlib import Path

from forensics.capture.command import WATCH

FOLDER = WATCH / "cures"


def curable_ids() -> list[str]:
    """The ids that have a cure."""
    return sorted(path.stem.replace("_", "-") for path in FOLDER.glob("*.py") if path.stem != "__init__")


def about(name: str) -> str:
    """The first line of a cure's docstring: what it changes."""
    import ast  # import time

    path: Path = FOLDER / f"{name.replace('-', '_')}.py"
    return (
        (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0].rstrip(".")
    )
