"""How far two runs of one program agree: a repeat with its record, a cured repeat with the one as it was."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from forensics.prove.repeat import Repeat

_CLOSE = 1e-3  # relative difference of losses within which a repeat agrees with the record

Decisions = Sequence[Mapping[str, Any]]


def agreement(record: Repeat, repeat: Repeat, steps: int | None = None) -> tuple[bool, str]:
    """Does the repeat as it was agree with the record, and how far?

    Args:
        steps: updates after which the repeat ended; None where it went on to its end.
    """
    pairs = list(zip(record.losses[:steps], repeat.losses[:steps], strict=False))
    far = max((abs(x - y) / max(abs(x), 1e-12) for x, y in pairs if math.isfinite(x)), default=0.0)
    losses = (
        f"the losses of {len(pairs)} steps differ by {far:.2g} at most" if pairs else "no losses were seen"
    )
    if steps is not None:
        expected = min(steps, len(record.losses))
        ended = f"it ended there, of {len(record.losses)} steps"
        return far <= _CLOSE and len(pairs) == expected, f"{losses}; {ended}{written_on(repeat)}"
    shared = [name for name in record.answers if name in repeat.answers]
    same = sum(record.answers[name] == repeat.answers[name] for name in shared)
    agrees = far <= _CLOSE and len(record.losses) == len(repeat.losses) and record.harm == repeat.harm
    answers = f"{same} of {len(shared)} answers are the same" if shared else "it answered nothing"
    return agrees, f"{losses}; {answers}{written_on(repeat)}"


def written_on(repeat: Repeat) -> str:
    """That the program goes on in files which the recorded run has written in already; empty where not."""
    names = [str(row["what"]) for row in repeat.refused if row.get("kind") == "changes"]
    if not names:
        return ""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        f"; it goes on writing in {names[0]}{more}: a repeat has a copy of it as it is now,"
        " with what the recorded run wrote there"
    )


def changed(was: Repeat, now: Repeat) -> Iterator[str]:
    """What else a cure changed: settings, rows, tensors before training."""
    for subject in dict.fromkeys((*was.settings, *now.settings)):
        before, after = was.settings.get(subject), now.settings.get(subject)
        if before != after:
            plain = subject.startswith(("rows", "tensors before"))
            yield f"{subject}: other ones" if plain else f"{subject}: {before or 'none'} -> {after or 'none'}"


def steering(was: Repeat, now: Repeat, *, alone: bool = True) -> str | None:
    """Where the value of the loss decided what the program did.

    In a run that is cured at the logits the value stays the faulty one, and with it what it decides: an early
    stop, the best checkpoint, a rate that falls on a plateau. It decided where a comparison came out both
    ways, or where saves came after other updates. None where neither is seen.

    Args:
        alone: nothing else was cured; else saves may come otherwise for another reason.
    """
    for place in dict.fromkeys(decision["place"] for decision in (*was.decisions, *now.decisions)):
        said, cured = (_outcomes(item.decisions, place) for item in (was, now))
        if len({*said, *cured}) > 1:
            return (
                f"the value of the loss, which a cure leaves as it is, decides at {place}:"
                f" true in {_of(said)} comparisons as it was, in {_of(cured)} cured"
            )
    for kind, words in (("save", "saves"), ("end", "ends its updates")) if alone else ():
        before, after = (
            [decision for decision in run.decisions if decision["kind"] == kind] for run in (was, now)
        )
        steps = [[item["step"] for item in side] for side in (before, after)]
        if steps[0] != steps[1]:
            place = next((item["place"] for item in (*before, *after) if item["place"]), "the program")
            return (
                f"{place} {words} after update {_steps(steps[0])}, cured after {_steps(steps[1])}:"
                " the value of the loss, which a cure leaves as it is, steers it"
            )
    return None


def _outcomes(decisions: Decisions, place: Any) -> list[bool]:
    return [
        bool(decision["outcome"])
        for decision in decisions
        if decision["place"] == place and decision["kind"] == "compare"
    ]


def _of(outcomes: Sequence[bool]) -> str:
    return f"{sum(outcomes)} of {len(outcomes)}"


def _steps(steps: Sequence[int]) -> str:
    return ", ".join(map(str, steps[:4])) + (", ..." if len(steps) > 4 else "") or "never"
