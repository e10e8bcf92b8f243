"""What a trial of a promise found: how many were tried, and which broke it."""

from __future__ import annotations

import resource
from dataclasses import dataclass, field

from forensics.errors import ForensicsError


@dataclass
class Count:
    """One row of the table in docs/reliability.md.

    Args:
        promise: what is held, as a user would say it.
        how: what was tried.
        broken: what did not hold, each as (what was tried, what it did).
        notes: what a reader should know of the number.
    """

    promise: str
    how: str
    tried: int = 0
    broken: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, what: str, wrong: str | None) -> None:
        self.tried += 1
        if wrong:
            self.broken.append((what, wrong))

    def row(self) -> str:
        notes = f" ({'; '.join(self.notes)})" if self.notes else ""
        return f"| {self.promise} | {self.how} | {self.tried - len(self.broken)} of {self.tried}{notes} |"


def broken_by(error: Exception) -> str | None:
    """What is wrong with how something was refused.

    None where it is one of our errors, whole and printable.
    """
    if not isinstance(error, ForensicsError):
        return f"{type(error).__name__}: {error}"[:400]
    words = (error.message, error.where, error.hint)
    told = all(words) and all(word.isprintable() for word in words)
    return None if told else f"the error is not whole or not printable: {words!r}"


def processor() -> float:
    """Seconds of processor that this process and its ended children have taken.

    A busy machine does not change them.
    """
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)
