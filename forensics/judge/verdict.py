"""faulty, suspect, healthy or inconclusive: what must have been seen before a run may be called healthy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from forensics.judge.library import Sql
from forensics.judge.outcomes import Clean, Crashed, Facts, Outcome
from forensics.records import Finding, Verdict
from forensics.units import counted

DECIDING = ("parameters", "end", "trainable", "updates", "loss_tokens", "written", "asked")
"""Facts of a watched run that `healthy` rests on: none of them may be there and unseen."""
_BASIC = {*DECIDING, "run", "deltas", "steps"}
"""A detector that needs only these must have been evaluated."""
FILES = "how the model was trained, which files do not say: forensics capture -- COMMAND watches a run"
"""What stands against `healthy` where files alone were judged."""


def gaps(session: Sql, b: str, outcomes: Mapping[str, Outcome], facts: Facts) -> tuple[str, ...]:
    """What stands against `healthy`, in words: parts of the run that are gone, deciding facts not seen."""
    watched = is_watched(session, b)
    gaps = [str(row["gap"]) for row in session.rows("SELECT * FROM parts_gone(?)", [b])]
    gaps += [
        gap.needs for fact in DECIDING if (gap := facts.missing(fact)) is not None and gap.kind == "unseen"
    ]
    gaps += [] if watched else [FILES]
    gaps += [
        f"{name}, which crashed"
        for name, outcome in sorted(outcomes.items())
        if isinstance(outcome, Crashed) and set(outcome.detector.names("needs")) <= _BASIC
    ]
    gaps += [
        f"what came after the {row['exception']} that ended the program"
        + (f" at {row['place']}" if row["place"] else "")
        for row in session.rows("SELECT * FROM endings(?)", [b])
    ]
    return tuple(gaps)


def verdict(findings: Sequence[Finding], missing: Sequence[str]) -> Verdict:
    """The word. `findings` are those that count: what the user allows is not among them."""
    severities = {finding.severity for finding in findings}
    if "error" in severities:
        return "faulty"
    if "warning" in severities:
        return "suspect"
    return "inconclusive" if missing else "healthy"


def headline(
    session: Sql,
    pair: tuple[str, str],
    word: Verdict,
    findings: Sequence[Finding],
    outcomes: Mapping[str, Outcome],
) -> str:
    """One line beside the verdict.

    How many findings, or how much was ruled out and which answers got worse all the same.
    """
    a, b = pair
    if word in ("faulty", "suspect"):
        return _roles(findings) + (", no error" if word == "suspect" else "")
    clean = [outcome for outcome in outcomes.values() if isinstance(outcome, Clean)]
    if word == "healthy":
        causes = sum(outcome.detector.role == "cause" for outcome in clean)
        return "; ".join([f"none of {counted(causes, 'known cause')}", *_worse(session, a, b)])
    if not is_watched(session, b):
        return f"nothing found in the {counted(len(clean), 'check')} that files allow"
    return "; ".join(["no fault seen, but not all that decides was recorded", *_worse(session, a, b)])


def is_watched(session: Sql, b: str) -> bool:
    return bool(session.rows("SELECT watched(?) AS yes", [b])[0]["yes"])


def _roles(findings: Sequence[Finding]) -> str:
    serious = [finding for finding in findings if finding.severity != "info"]
    counts = (
        (role, sum(finding.role == role for finding in serious))
        for role in ("cause", "consequence", "symptom")
    )
    return ", ".join(counted(n, role) for role, n in counts if n)


def _worse(session: Sql, a: str, b: str) -> list[str]:
    """Answers to probes that got worse, in words."""
    rows = session.rows("SELECT * FROM answers_worse(?, ?)", [a, b])
    worse = [row for row in rows if row["worse"]]
    if not worse:
        return []
    what = ", ".join(dict.fromkeys(str(row["how"]) for row in worse))
    return [f"{len(worse)} of {counted(len(rows), 'answer')} to probes got worse: {what}"]
