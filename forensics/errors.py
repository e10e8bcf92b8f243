"""Errors that a user can do something about: one line of what, one of where, one of what to do."""

from __future__ import annotations

from collections.abc import Iterable


def escaped(text: str) -> str:
    """Words of a stranger on one line: what steers a terminal or breaks the line is spelled out.

    So is what turns the direction of reading.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class ForensicsError(Exception):
    """Something a user can mend.

    Args:
        message: what went wrong, one line, without a full stop at the end being required.
        where: the file, ref, member or place it concerns.
        hint: what to do about it.

    `exit_code` is the process status that `cli` ends with: 2 for usage and the user's own files.
    """

    exit_code = 2

    def __init__(self, message: str, where: str = "", hint: str = "") -> None:
        message, where, hint = map(escaped, (message, where, hint))
        super().__init__(message)
        self.message, self.where, self.hint = message, where, hint
        # a traceback in a notebook or a test shows them, too
        for label, text in (("at", where), ("do", hint)):
            if text:
                self.add_note(f"  {label}: {text}")


class UsageError(ForensicsError):
    """The command's words cannot be understood together."""


class UnknownRef(ForensicsError):
    """No run, capture, snapshot or path bears this name."""


class NotSealed(ForensicsError):
    """A run that is still recorded or sealed, or whose sealing failed: nothing of it can be judged yet."""

    exit_code = 4


class UnreadableModel(ForensicsError):
    """A model file of the user's own that is missing, truncated, or no model."""


class ClusterError(ForensicsError):
    """A cluster that cannot be reached, went away, or did not do its work."""


class DamagedEvidence(ForensicsError):
    """A capture, snapshot or bundle that fails its digests, or was made to harm."""

    exit_code = 3


class QueryError(ForensicsError):
    """A query file that breaks the rules of the library, or SQL that DuckDB refuses."""


def interrupted(error: BaseException) -> bool:
    """Whether DuckDB was asked something when Ctrl-C was pressed: it says so in an error of its own."""
    return isinstance(error, RuntimeError) and str(error) == "Query interrupted"


def no_such_finding(word: str, known: Iterable[str], where: str, most: int = 3) -> UsageError:
    """What to say of an id that no detector gives; `most`: ids that may have been meant."""
    close = near(word, known, most)
    hint = f"Did you mean {' or '.join(close)}?" if close else "`forensics query` lists them."
    return UsageError(f"There is no finding {word!r}.", where=where, hint=hint)


def near(word: str, among: Iterable[str], most: int = 3, likeness: float = 0.6) -> list[str]:
    """The words most like a mistyped one, the best first, for a hint; else those that hold it.

    `likeness` from 0 to 1, as difflib counts it.
    """
    from difflib import get_close_matches  # import time: only what was mistyped needs it

    words = list(among)
    return (
        get_close_matches(word, words, most, likeness)
        or [w for w in words if len(word) > 2 and word in w][:most]
    )
