"""What a project says of us, in forensics.toml or [tool.forensics] of pyproject.toml.

The file is that of a directory or of those above it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forensics.errors import UsageError


def nearest(start: Path, form: str) -> tuple[Path, Mapping[str, Any]] | None:
    """The nearest such table, and its file; `form` is what an error tells to write.

    Raises:
        UsageError: a forensics.toml that is no TOML.
    """
    for directory in (start, *start.parents):
        for path, keys in (
            (directory / "forensics.toml", ()),
            (directory / "pyproject.toml", ("tool", "forensics")),
        ):
            if path.is_file() and (table := _table(path, keys, form)) is not None:
                return path, table
    return None


def _table(path: Path, keys: Sequence[str], form: str) -> Mapping[str, Any] | None:
    try:
        table: Any = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if keys:
            return None  # a pyproject.toml that is broken is no matter of ours
        raise UsageError(f"It is no TOML: {error}.", where=str(path), hint=form) from error
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table if isinstance(table, dict) else None
