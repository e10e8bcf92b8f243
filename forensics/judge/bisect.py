"""When it began: the first capture of a run at which something holds that does not hold at its first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forensics.errors import UsageError
from forensics.judge import answerdiff, deltas, library
from forensics.judge.diagnose import judge
from forensics.judge.resolver import session_of

if TYPE_CHECKING:
    from pathlib import Path

    from forensics.records import Finding
    from forensics.store.store import Capture, Run


@dataclass(frozen=True, slots=True)
class Turn:
    """Where it turned: `when` holds at capture `after`, and does not at `before`, the last one read.

    `after` is None where it holds at no capture, `before` where it holds at the first already. `opened` of
    `captures` were read.
    """

    when: str
    before: str | None
    after: str | None
    opened: int
    captures: int


def turn(run: Run, when: str | None, queries: Path | None = None) -> Turn:
    """Halve the captures of the run's main model until two neighbours differ.

    At most log2(n) + 2 of n captures are read.

    Args:
        when: a finding's id, or a SELECT that gives rows where it holds, with `$capture` for the ref; None:
        the run's first cause.

    Raises:
        UsageError: no such finding, no finding in the run, or a run without captures.
        QueryError: a SELECT that DuckDB refuses.
    """
    captures = _course(run)
    ours = library.load(queries)
    when = when or _first_cause(run, captures, ours)
    if " " not in when and when not in {detector.name for detector in ours.detectors}:
        raise UsageError(
            f"There is no finding {when!r}.",
            where="--when",
            hint="`forensics query` lists them; or give a SELECT.",
        )
    holds = (
        _by_select(run, captures[0], ours, when) if " " in when else _by_finding(run, captures[0], ours, when)
    )
    return _halved(captures, holds, when)


def first_cause(run: Run, queries: Path | None = None) -> str:
    """The finding that stands first in the run.

    Raises:
        UsageError: nothing is found, or it holds no capture.
    """
    return _first_cause(run, _course(run), library.load(queries))


def _course(run: Run) -> list[Capture]:
    captures = [c for c in run.captures if c.model == run.main_model and c.point not in ("saved", "reloaded")]
    if not captures:
        raise UsageError(
            f"Run {run.name} holds no capture.", where=run.name, hint="`forensics show` says what it holds."
        )
    return captures


def _halved(captures: Sequence[Capture], holds: Callable[[Capture], bool], when: str) -> Turn:
    """Binary search, on the word that it stays once it holds."""
    if not holds(captures[-1]):
        return Turn(when, captures[-1].ref, None, 1, len(captures))
    if len(captures) == 1 or holds(captures[0]):
        return Turn(when, None, captures[0].ref, min(2, len(captures)), len(captures))
    low, high, opened = 0, len(captures) - 1, 2
    while high - low > 1:
        middle = (low + high) // 2
        opened += 1
        low, high = (low, middle) if holds(captures[middle]) else (middle, high)
    return Turn(when, captures[low].ref, captures[high].ref, opened, len(captures))


def _findings(run: Run, first: Capture, last: Capture, ours: library.Library) -> Sequence[Finding]:
    """What is found between two captures of a run, of which alone the tables are opened."""
    session = session_of([first, last], [run], ours)
    deltas.fill(session, first.ref, last.ref)
    answerdiff.fill(session, first.ref, last.ref)
    return judge(session, ours, first.ref, last.ref, run.name).findings


def _first_cause(run: Run, captures: Sequence[Capture], ours: library.Library) -> str:
    serious = [
        finding for finding in _findings(run, captures[0], run.last(), ours) if finding.severity != "info"
    ]
    if not serious:
        raise UsageError(
            f"Nothing is found in run {run.name}.",
            where=run.name,
            hint="Say what to look for: --when ID or --when SELECT.",
        )
    return serious[0].id


def _by_finding(run: Run, first: Capture, ours: library.Library, finding: str) -> Callable[[Capture], bool]:
    return lambda capture: any(each.id == finding for each in _findings(run, first, capture, ours))


def _by_select(run: Run, first: Capture, ours: library.Library, select: str) -> Callable[[Capture], bool]:
    def holds(capture: Capture) -> bool:
        session = session_of([first, capture], [run], ours)
        ours.install(session)
        return bool(session.rows(select, {"capture": capture.ref} if "$capture" in select else ()))

    return holds
