"""What cannot go on ends in three lines on stderr, and in a status that a script can tell from a finding."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click

from forensics.cli.screen import hush, note
from forensics.errors import ForensicsError, UsageError

_TRACED = "forensics.traced"
_NUMBERS = {
    "is not a valid integer range": "is no whole number",
    "is not a valid float range": "is no number",
    "is not a valid float": "is no number",
}
"""What click calls its types, and what they are called in a sentence."""


def _traced(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_TRACED] = True


def debug_option(*, hidden: bool = False) -> click.Option:
    """`--debug`, before the command or after it."""
    text = (
        "Show the traceback of an error below it, here or after the command; FORENSICS_DEBUG=1 does as well."
    )
    return click.Option(
        ["--debug"], is_flag=True, expose_value=False, callback=_traced, hidden=hidden, help=text
    )


class Unexpected(ForensicsError):
    """A failure of ours that no command expected.

    It is no finding (status 1), and tells nothing about the evidence.
    """

    exit_code = 4


class Damaging(Unexpected):
    """The same over evidence that came from elsewhere: what none of ours holds is damaged."""

    exit_code = 3


def unexpected(error: Exception, words: Sequence[str]) -> ForensicsError:
    """What a user is told of an error that is ours, or of evidence that no check foresaw."""
    if isinstance(error, MemoryError):
        return ForensicsError(
            "This takes more memory than there is.",
            " ".join(words),
            "Ask for less, or ask on a larger machine.",
        )
    kind = Damaging if any(word.partition(".zip")[1] for word in words) else Unexpected
    what = f"Reading this failed in a way that was not foreseen: {type(error).__name__}: {str(error)[:200]}"
    error_of_ours = kind(
        what, "forensics " + " ".join(words), "--debug shows the traceback, which belongs into an issue."
    )
    return error_of_ours.with_traceback(error.__traceback__)


def failed(error: ForensicsError | click.ClickException | OSError, ctx: click.Context | None = None) -> int:
    """Say what went wrong; returns the exit status."""
    if isinstance(error, BrokenPipeError):  # the reader went away (`| head`): nothing to say
        hush(sys.stdout)
        return 0
    lines = (
        _usage(error, ctx)
        if isinstance(error, click.ClickException)
        else _unusable(error)
        if isinstance(error, OSError)
        else error
    )
    _say(lines)
    if (ctx and ctx.meta.get(_TRACED)) or os.environ.get("FORENSICS_DEBUG"):
        note("".join(traceback.format_exception(error)).rstrip())
    return lines.exit_code


def _say(error: ForensicsError) -> None:
    """One line of what, one of where, one of what to do."""
    note(f"{click.style('error', fg='red', bold=True)}: {error.message}", styled=True)
    if error.where:
        note(f"  at: {error.where}", styled=True)
    if error.hint:
        note(f"  do: {error.hint}", styled=True)


def _usage(error: click.ClickException, ctx: click.Context | None) -> ForensicsError:
    """Words that click refuses, of the command that they were given to."""
    inner = getattr(error, "ctx", None)
    called = inner.command_path if inner else f"forensics {ctx.invoked_subcommand}" if ctx else "forensics"
    said = " ".join(error.format_message().split())
    if isinstance(error, click.NoSuchOption) and (meant := _one_dash(error)):
        said = f"{said.partition('. ')[0].removesuffix('.')}. Did you mean {meant!r}?"
    for theirs, plain in _NUMBERS.items():
        said = said.replace(theirs, plain)
    return UsageError(said, where=called, hint=f"`{called} --help` shows what it takes.")


def _one_dash(error: click.NoSuchOption) -> str | None:
    """The option that was meant by `-name`, which click takes for `-n -a -m -e`."""
    options = {each for item in error.ctx.command.params for each in item.opts} if error.ctx else set()
    typed = (word.partition("=")[0] for word in sys.argv[1:] if word.startswith(error.option_name))
    return next((f"-{word}" for word in typed if f"-{word}" in options), None)


def _unusable(error: OSError) -> ForensicsError:
    """A place that the system refuses, and of which no command said more.

    What bears no name is mostly standard output.
    """
    if error.filename is None:
        hush(sys.stdout)
        why = error.strerror or "it is closed"
        return UsageError(
            f"The output cannot be written: {why}.",
            where="standard output, or a file on its way",
            hint="Send it to a place that takes it; --debug shows what was written.",
        )
    hint = "Mend that and try again; --debug shows what was tried."
    return UsageError(f"The system refused: {error.strerror}.", where=os.fsdecode(error.filename), hint=hint)
