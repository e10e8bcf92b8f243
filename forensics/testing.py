"""For tests of training code: is a run healthy, are two the same?

from forensics.testing import assert_healthy, assert_same

def test_training(forensics_run):            # the fixture watches the test, and judges it at its end
    train(steps=8)

def test_refactoring(tmp_path):
    assert_same("snapshots/before.zip", "after", allow=["environment"])
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from os import PathLike

from forensics import api
from forensics.errors import UsageError
from forensics.live import Recording
from forensics.records import Comparison, Diagnosis, TwoRuns

Run = str | PathLike[str] | Recording | Diagnosis
SECTIONS = ("modules", "adapter", "optimizer", "configs", "transcripts", "scores", "environment")
"""What `assert_same` compares beside parameters, by the names that `allow` takes.

Scores and environment make no model another one.
"""
_SHOWN = 8


def assert_healthy(
    run: Run,
    *,
    allow: Iterable[str] = (),
    inconclusive: bool = False,
    store: str | PathLike[str] | None = None,
) -> None:
    """Fail where a run is not healthy, with what `forensics diagnose` prints.

    Args:
        run: a ref, a capture that has ended, or a diagnosis.
        allow: ids of findings that do not count.
        inconclusive: let a run pass in which nothing was found and not all that decides was seen.

    Raises:
        AssertionError: it is not. ForensicsError: no such run, an id that no detector gives.
    """
    diagnosis = run if isinstance(run, Diagnosis) else _diagnosis(run, store)
    allowed = set(allow)
    unknown = allowed - set(_ids())
    if unknown:
        raise UsageError(
            f"There is no finding {min(unknown)!r}.", "assert_healthy", "`forensics query` lists them."
        )
    counted = [f for f in diagnosis.findings if f.severity != "info" and f.id not in allowed]
    passes = not counted and (diagnosis.verdict != "inconclusive" or inconclusive)
    if not passes:
        raise AssertionError(f"{diagnosis.b} is not healthy.\n\n{diagnosis}")


def assert_same(
    a: str | PathLike[str],
    b: str | PathLike[str],
    *,
    allow: Sequence[str] = ("scores", "environment"),
    store: str | PathLike[str] | None = None,
) -> None:
    """Fail where two captures, models or runs differ, with in what.

    Args:
        allow: names of parameters, with `*` and `?`, and sections (`SECTIONS`) that may differ.

    Raises:
        AssertionError: they differ, or there was nothing to compare. ForensicsError: no such ref.
    """
    compared = api.diff(a, b, store=store)
    different = _different(compared, allow)
    if compared.same is None and not different:
        raise AssertionError(f"{a} and {b} have no parameters in common: there is nothing to compare.")
    if different:
        raise AssertionError(
            f"{compared.a} and {compared.b} differ:\n" + "\n".join(f"  {line}" for line in different)
        )


def _different(compared: Comparison, allow: Sequence[str]) -> list[str]:
    """A line a difference that is not allowed."""
    names = {
        "changed": [change.name_b for change in compared.changed],
        "added": list(compared.added),
        "removed": list(compared.removed),
    }
    lines = []
    for kind, given in names.items():
        left = [name for name in given if not any(fnmatchcase(name, pattern) for pattern in allow)]
        if left:
            more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
            lines.append(f"parameters {kind}: {', '.join(left[:_SHOWN])}{more}")
    for section in SECTIONS:
        rows = getattr(compared, section)
        if section == "transcripts":
            rows = [row for row in rows if not row["same"]]
        if section == "optimizer":  # one that only one side has was made between them
            rows = {name: row for name, row in rows.items() if None not in row.values()}
        if rows and section not in allow:
            shown = dict(rows) if isinstance(rows, dict) else [dict(row) for row in list(rows)[:2]]
            lines.append(f"{section}: {shown}"[:500])
    return lines


def _diagnosis(run: str | PathLike[str] | Recording, store: str | PathLike[str] | None) -> Diagnosis:
    diagnosis = run.diagnosis if isinstance(run, Recording) else api.diagnose(run, store=store)
    if isinstance(diagnosis, TwoRuns):
        return diagnosis.runs[-1]
    return diagnosis


def _ids() -> list[str]:
    from forensics.judge import library  # import time

    return [detector.name for detector in library.load(None).detectors]
