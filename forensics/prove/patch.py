"""The smallest edit of the user's program that does what a proved cure did, as a unified diff to read.

It is never applied. What would be a guess is left out.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from forensics.prove import keys
from forensics.prove.edits import EDITS
from forensics.prove.program import Program

_LARGEST = 1 << 20  # bytes of a program
_CONFIGURATIONS = (".yaml", ".yml", ".json")


def patch(
    cwd: Path,
    files: Sequence[str],
    cures: Sequence[str],
    facts: Mapping[str, Any],
    places: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """A unified diff of these files of the program, relative to `cwd`, for these cures.

    Args:
        places: file:line of the findings.

    Empty where none has an edit that is sure.
    """
    found = []
    for name in dict.fromkeys(files):
        path = cwd / name
        try:
            if not path.is_file() or path.stat().st_size > _LARGEST:
                continue
            before = path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
        after = before
        for cure in cures:
            after = _edited(after, cure, facts, path.suffix, _line(places.get(cure), name, before == after))
        diff = difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}", n=2
        )
        found.append("".join(line if line.endswith("\n") else f"{line}\n" for line in diff))
    return "".join(found)


def _line(place: str | None, name: str, unedited: bool) -> int | None:
    """The line of a place in this file; none once an edit has moved the lines."""
    file, _, line = (place or "").rpartition(":")
    return int(line) if unedited and line.isdigit() and Path(file) == Path(name) else None


def _edited(text: str, cure: str, facts: Mapping[str, Any], suffix: str, line: int | None) -> str:
    """The text with the edit of one cure, where it has one there and what comes of it can be read."""
    if suffix in _CONFIGURATIONS:
        return keys.edited(text, cure, facts, braces=suffix == ".json") or text
    edit = EDITS.get(cure)
    try:
        new = edit(Program(text, ast.parse(text), facts, line)) if edit else None
        if new is not None:
            ast.parse(new)
    except (SyntaxError, ValueError):
        return text
    return text if new is None else new
