"""The user's own scorers over the answers of a run.

They run after the program ended, in a child of the interpreter that it used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from forensics.capture import command
from forensics.capture.answers import score, scores
from forensics.capture.rows import Record
from forensics.capture.spool import Spool, read_lines
from forensics.records import Row

KIND = "scores"
"""The kind of what is missing where a scorer gave no score."""


def fill(
    spool: Spool, records: Sequence[Record], scorers: Sequence[str], references: Mapping[str, str]
) -> list[dict[str, str]]:
    """Add rows of `scores` to each record: the built-in scores of every answer, and the user's own.

    Args:
        references: prompt id to the answer that is right.

    Returns what is missing, and why: one entry for each scorer that failed.
    """
    for record in records:
        record.rows("scores").extend(scores(record.rows("transcripts"), references))
    return _own(spool, records, scorers, references)


def _own(
    spool: Spool, records: Sequence[Record], scorers: Sequence[str], references: Mapping[str, str]
) -> list[dict[str, str]]:
    answers = [(r, t) for r in records for t in r.rows("transcripts") if t.get("finish_reason") != "error"]
    if not scorers or not answers:
        return missing(scorers, "there was no answer to score")
    given, wanted = spool.path / "transcripts.jsonl", spool.path / "scores.jsonl"
    _write(given, answers, references)
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
        record, name, error = by_ref[str(row["capture"])], str(row["scorer"]), _text(row.get("error"))
        value: Any = row.get("value")
        key, prompt = str(row.get("key") or ""), row["prompt_id"]
        record.rows("scores").append(score(record.ref, prompt, name, key, value, error))
        scored[name].add((record.ref, prompt))
        errors[name] += [error] if error else []
    return _failed(scored, errors, len(answers), why)


def _write(path: Path, answers: Sequence[tuple[Record, Row]], references: Mapping[str, str]) -> None:
    with path.open("w", encoding="ascii") as file:
        for record, t in answers:
            reference = references.get(str(t["prompt_id"])) if t["source"] == "probe" else None
            row = {k: t[k] for k in ("prompt_id", "prompt", "output")}
            file.write(json.dumps({"capture": record.ref, **row, "reference": reference}) + "\n")


def _failed(
    scored: Mapping[str, set[object]], errors: Mapping[str, list[str]], answers: int, why: str | None
) -> list[dict[str, str]]:
    """Of each scorer that failed, its first error, or why the child that ran it stopped."""
    gaps = []
    for name, done in scored.items():
        if errors[name]:
            reason = f"{errors[name][0]} ({len(errors[name])} of {answers} answers)"
            gaps += missing([name], reason)
        elif why is not None and len(done) < answers:
            gaps += missing([name], why)
    return gaps


def missing(scorers: Sequence[str], why: str) -> list[dict[str, str]]:
    """Entries of `missing` for scorers that gave no score."""
    return [{"what": f"the scores of {name}", "why": why, "kind": KIND} for name in dict.fromkeys(scorers)]


def warnings(gaps: Iterable[Mapping[str, str]]) -> Iterator[str]:
    """One line for each failed scorer among what is missing."""
    return (f"forensics: {gap['what']} are missing: {gap['why']}." for gap in gaps if gap.get("kind") == KIND)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
