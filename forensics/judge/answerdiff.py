"""Compares what two captures answer to the same probes.

This is needed for models at rest and for two runs, which nobody compared when they were captured.
"""

from __future__ import annotations

from forensics.judge.deltas import Evidence

_UNMEASURED = """
SELECT x.prompt_id FROM transcripts x JOIN transcripts y ON y.prompt_id = x.prompt_id
WHERE x.capture = probes_at($1) AND y.capture = probes_at($2) AND x.capture <> y.capture
    AND x.source = 'probe' AND y.source = 'probe'
    AND NOT EXISTS (SELECT 1 FROM probe_deltas WHERE capture_a = x.capture AND capture_b = y.capture)
LIMIT 1
"""
_ANSWERS = "SELECT * FROM transcripts WHERE capture = probes_at(?) ORDER BY prompt_id"


def fill(session: Evidence, a: str, b: str) -> None:
    """Measure how the answers of b differ from those of a, by ref, where that was not done.

    Adds to `probe_deltas`.
    """
    if a == b or not session.rows("FROM transcripts LIMIT 1") or not session.rows(_UNMEASURED, [a, b]):
        return
    # NumPy takes longer to load than all else where there is nothing to compare
    from forensics.capture import deltas  # import time: NumPy

    before, after = session.rows(_ANSWERS, [a]), session.rows(_ANSWERS, [b])
    one, other = before[0]["capture"], after[0]["capture"]
    session.insert("probe_deltas", list(deltas.probe_deltas(one, other, before, after, session.read)))
