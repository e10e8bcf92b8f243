"""Where commands write: their answer to stdout, everything else to stderr.

An answer is one JSON document, or text that fits the terminal.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

import click

from forensics.errors import escaped

if TYPE_CHECKING:
    from rich.text import Text

NARROW, WIDE, UNCUT = 60, 120, 1_000_000


def columns() -> int:
    """Columns of the terminal, 60 at the least; 80 in a pipe unless COLUMNS says otherwise."""
    import shutil

    return max(NARROW, shutil.get_terminal_size((80, 24)).columns) if _has_width() else 80


def _has_width() -> bool:
    """Is there a width that the terminal or COLUMNS says?"""
    return sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()


def width() -> int:
    """Columns to write sentences for, which nobody reads where they are wider."""
    return min(WIDE, columns())


def room() -> int:
    """Columns that a table of rows may take: the terminal's, or no limit in a pipe, which cuts no cells."""
    return columns() if _has_width() else UNCUT


def show(text: Text, *, paged: bool = False) -> None:
    """Print rich text: colour on a terminal only, lines as they are.

    `paged`: what has more lines than the terminal goes through $PAGER, or less.
    """
    from rich.console import Console

    if not _encodes(_BEYOND_ASCII):
        text = _in_ascii(text)
    _bear("replace")
    console = Console(soft_wrap=True, highlight=False, legacy_windows=False)
    if paged and _taller(text):
        with console.capture() as drawn:
            console.print(text, end="")
        click.echo_via_pager(drawn.get(), color=colour())
    elif console.is_terminal:
        console.print(text, end="\n" if text.plain else "")
    else:  # which is what it would print too, line by line
        # without the file click puts UTF-8 in place of ASCII
        click.echo(text.plain, file=sys.stdout, nl=bool(text.plain))


def _taller(text: Text) -> bool:
    """Does somebody look, who cannot see the first line any more when the last is there?"""
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    import shutil

    return text.plain.count("\n") + 2 > shutil.get_terminal_size((80, 24)).lines


_ASCII = {
    **dict(zip("▁▂▃▄▅▆▇█", "_.-=+*%#", strict=True)),
    **{
        "░": ".",
        "▒": "+",
        "▓": "%",
        "·": ".",
        "…": "...",
        "→": "->",
        "×": "x",
        "–": "-",
        "—": "-",
        "⏎": "|",
        "≤": "<=",
        "≥": ">=",
        "−": "-",
    },
}
# DEL and C1 controls, line separators, bidirectional overrides and isolates, invisible marks; JSON itself
# escapes C0
_STEERING = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
_BEYOND_ASCII = "".join(_ASCII)
_TO_ASCII = {ord(character): plain for character, plain in _ASCII.items()}


def _in_ascii(text: Text) -> Text:
    """Plots and marks by characters that every terminal has; colours are left out, since places move."""
    from rich.text import Text

    return Text(text.plain.translate(_TO_ASCII))


def _encodes(characters: str) -> bool:
    try:
        characters.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def emit(document: Any) -> None:
    """Print one JSON document; NaN and infinity have no place in JSON and must be text by now."""
    click.echo(spelled(json.dumps(document, ensure_ascii=ascii_alone(), indent=2, allow_nan=False)))


def spelled(text: str) -> str:
    """JSON text with characters that steer a terminal or turn the reading direction as JSON escapes."""
    return (
        text
        if text.isascii() and text.isprintable()
        else _STEERING.sub(lambda m: f"\\u{ord(m[0]):04x}", text)
    )


def ascii_alone() -> bool:
    """Make stdout ready for JSON: whether what lies beyond ASCII must be escaped in it."""
    _bear("backslashreplace")  # a lone surrogate, as JSON writes it
    return (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"


def comma_separated(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print CSV as the rows come; a character that stdout cannot bear is escaped."""
    import csv

    _bear("backslashreplace")
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def note(line: str, *, styled: bool = False) -> None:
    """A line on stderr; where that takes none, what is done goes on without it.

    `styled`: it bears our own colours, and is clean.
    """
    if not styled:
        line = "\n".join(escaped(part.expandtabs(4)) for part in line.split("\n"))
    try:
        click.echo(line, err=True, color=colour())
    except OSError:
        hush(sys.stderr)


def colour() -> bool | None:
    """False where the user wants none (https://no-color.org).

    None leaves it to whether there is a terminal.
    """
    return False if os.environ.get("NO_COLOR") else None


def open_streams() -> None:
    """Give a stream that was closed before we began (`>&-`) a place to write to.

    Writing to it fails on stdout, as on any stdout that cannot be written, and is ignored on stderr.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull)  # noqa: SIM115, PTH123
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123


def hush(stream: IO[str]) -> None:
    """What a stream could not write goes nowhere, and Python does not complain of it when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _bear(errors: str) -> None:
    """A terminal that cannot show a character gets another, and the command goes on."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors=errors)
