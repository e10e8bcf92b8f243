"""What commands write to stdout: one JSON document, or text that fits the terminal."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.text import Text

NARROW, WIDE = 60, 120


def width() -> int:
    """Columns to write for: the terminal's within reason, 80 in a pipe unless COLUMNS says otherwise."""
    import shutil

    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return max(NARROW, min(WIDE, shutil.get_terminal_size((80, 24)).columns))
    return 80


def show(text: Text) -> None:
    """Print rich text: colour on a terminal only, lines as they are."""
    from rich.console import Console

    _bear("replace")
    console = Console(soft_wrap=True, highlight=False, legacy_windows=False)
    if console.is_terminal:
        console.print(text, end="\n" if text.plain else "")
    else:  # which is what it would print too, line by line
        click.echo(text.plain, file=sys.stdout, nl=bool(text.plain))  # without the file click puts UTF-8 in place of ASCII


def emit(document: Any) -> None:
    """Print one JSON document; NaN and infinity have no place in JSON and must be text by now."""
    _bear("backslashreplace")  # a lone surrogate, as JSON writes it
    told = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    click.echo(json.dumps(document, ensure_ascii=not told, indent=2, allow_nan=False))


def _bear(errors: str) -> None:
    """A terminal that cannot show a character gets another, and the command goes on."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors=errors)
