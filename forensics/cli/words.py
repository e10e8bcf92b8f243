"""Repairs what people type before click sees it.

Options before the command, a mistyped command, a command to watch without `--`.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import click

from forensics.errors import UsageError, near

_WITH_VALUE = ("--store", "--queries")
_FLAGS = ("--json",)
_OTHER_WORDS = {
    "run": "capture --", "record": "capture --", "watch": "capture --", "delete": "rm", "remove": "rm",
    "import": "open", "export": "bundle", "compare": "diff", "info": "show", "status": "list",
}  # fmt: skip
"""What other programs call our commands."""


def behind_command(args: Sequence[str]) -> list[str]:
    """`--store X list` as `list --store X`: options that commands share may stand before the command."""
    moved: list[str] = []
    stayed: list[str] = []
    rest = list(args)
    while rest and rest[0].startswith("-") and rest[0] != "--":
        word = rest.pop(0)
        if word in _WITH_VALUE and rest:
            moved += [word, rest.pop(0)]
        elif word in _FLAGS or word.partition("=")[0] in _WITH_VALUE:
            moved.append(word)
        else:
            stayed.append(word)
    return [*stayed, *rest[:1], *moved, *rest[1:]] if rest else [*stayed, *moved]


def no_such_command(word: str, known: Collection[str], args: Sequence[str]) -> UsageError:
    """What to say of a command that there is none of: the line to type, where one comes near."""
    if word in ("help", "version"):
        line = " ".join(["forensics", *(args[1:2] if word == "help" else ()), f"--{word}"])
        return UsageError(f"There is no command {word!r}.", where=f"forensics {word}", hint=line)
    close = [_OTHER_WORDS[word]] if word in _OTHER_WORDS else near(word, known, 1)
    line = " ".join(["forensics", *close, *args[1:]])
    hint = line if close else "`forensics --help` lists the commands."
    return UsageError(f"There is no command {word!r}.", where=f"forensics {word}", hint=hint)


def command_start(command: click.Command, args: Sequence[str]) -> int | None:
    """Where in the arguments of `capture` a command to watch begins though no `--` stands before it.

    None where none does.

    The first word that is no option of `capture` and no value of one begins it, where it is a Python file or
    a program on the PATH. What lies here under that name and is no program is a model.
    """
    takes_value = {
        name
        for option in command.params
        if isinstance(option, click.Option) and not option.is_flag
        for name in option.opts
    }
    place = 0
    while place < len(args) and args[place].startswith("-"):
        place += 2 if args[place] in takes_value else 1
    return place if place < len(args) and _is_program(args[place]) else None


def _is_program(word: str) -> bool:
    path = Path(word)
    if path.is_dir():
        return False
    if path.is_file():
        return path.suffix == ".py" or os.access(path, os.X_OK)
    return shutil.which(word) is not None


def as_command(words: Sequence[str]) -> tuple[str, ...]:
    """The command that these words mean: a Python file is run by the Python of the PATH."""
    if words[0].endswith(".py") and not os.access(words[0], os.X_OK):
        return ("python" if shutil.which("python") else sys.executable, *words)
    return tuple(words)
