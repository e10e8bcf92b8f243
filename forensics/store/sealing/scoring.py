"""The user's own scorers over the answers of a run: in a child of the interpreter that the program used, after it ended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from forensics.evidence import run
from forensics.evidence.spool import Spool, read_lines
from forensics.store.sealing.live import Record
from forensics.store.sealing.transcripts import score


def fill(spool: Spool, records: Sequence[Record], scorers: Sequence[str], references: Mapping[str, str]) -> str | None:
    """Add rows of `scores` to each record; returns None, or one line of why the scorers could not run at all."""
    answers = [(r, t) for r in records for t in r.rows("transcripts") if t.get("finish_reason") != "error"]
    if not scorers or not answers:
        return None
    given, wanted = spool.path / "transcripts.jsonl", spool.path / "scores.jsonl"
    with given.open("w", encoding="utf-8", errors="surrogateescape") as file:
        for record, t in answers:
            reference = references.get(str(t["prompt_id"])) if t["source"] == "probe" else None
            row = {"capture": record.ref, **{k: t[k] for k in ("prompt_id", "prompt", "output")}, "reference": reference}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    program: dict[str, Any] = spool.processes[0].facts
    why = run.helper(
        "score.py", [str(given), str(wanted), *scorers], python=_text(program.get("executable")), cwd=_text(program.get("cwd"))
    )
    by_ref = {record.ref: record for record in records}
    for scored in read_lines(wanted):
        record = by_ref[str(scored["capture"])]
        key, value = str(scored.get("key") or ""), scored.get("value")
        record.rows("scores").append(score(record.ref, scored["prompt_id"], str(scored["scorer"]), key, value, scored.get("error")))
    return why


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
