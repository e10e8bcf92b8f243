"""The user's own scorers over the answers of a run.

They run after the program ended, in a child of the interpreter that it used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from forensics.capture import command
from forensics.capture.answers import score
from forensics.capture.rows import Record
from forensics.capture.spool import Spool, read_lines

KIND = "scores"
"""The kind of what is missing where a scorer gave no score."""


def fill(
    spool: Spool, records: Sequence[Record], scorers: Sequence[str], references: Mapping[str, str]
) -> list[dict[str, str]]:
    """Add rows of `scores` to each record.

    Returns what is missing, and why: one entry for each scorer that failed.
    """
    answers = [(r, t) for r in records for t in r.rows("transcripts") if t.get("finish_reason") != "error"]
    if not scorers or not answers:
        return missing(scorers, "there was no answer to score")
    given, wanted = spool.path / "transcripts.jsonl", spool.path / "scores.jsonl"
    with given.open("w", encoding="ascii") as file:
        for record, t in answers:
            reference = references.get(str(t["prompt_id"])) if t["source"] == "probe" else None
            row = {
                "capture": record.ref,
                **{k: t[k] for k in ("prompt_id", "prompt", "output")},
                "reference": reference,
            }
            file.write(json.dumps(row) + "\n")
    program = spool.processes[0].facts
    why = command.helper(
        "score.py",
        [str(given), str(wanted), *scorers],
        python=_text(program.get("executable")),
        cwd=_text(program.get("cwd")),
    )
    by_ref = {record.ref: record for record in records}
    scored: dict[str, set[object]] = {name: set() for name in scorers}
    errors: dict[str, list[str]] = {name: [] for name in scorers}
    for row in read_lines(wanted):
        record, name, prompt, error = (
            by_ref[str(row["capture"])],
            str(row["scorer"]),
            row["prompt_id"],
            _text(row.get("error")),
        )
        value: Any = row.get("value")
        record.rows("scores").append(score(record.ref, prompt, name, str(row.get("key") or ""), value, error))
        scored[name].add((record.ref, prompt))
        errors[name] += [error] if error else []
    broken = {
        name: f"{found[0]} ({len(found)} of {len(answers)} answers)"
        for name, found in errors.items()
        if found
    }
    broken |= {
        name: why
        for name, found in scored.items()
        if why is not None and len(found) < len(answers) and name not in broken
    }
    return [gap for name, reason in broken.items() for gap in missing([name], reason)]


def missing(scorers: Sequence[str], why: str) -> list[dict[str, str]]:
    """Entries of `missing` for scorers that gave no score."""
    return [{"what": f"the scores of {name}", "why": why, "kind": KIND} for name in dict.fromkeys(scorers)]


def warnings(gaps: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """One line for each failed scorer among what is missing."""
    return (f"forensics: {gap['what']} are missing: {gap['why']}." for gap in gaps if gap.get("kind") == KIND)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
