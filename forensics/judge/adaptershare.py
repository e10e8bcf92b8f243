"""Measures how much of an adapter is in the weights of a model without it.

It does so for two captures where nobody measured that yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.judge.deltas import Evidence
from forensics.judge.pair import Session, paired
from forensics.records import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ADAPTED = (
    "SELECT count(*) AS n FROM parameters WHERE capture = capture_of(?) AND role IN ('lora_a', 'lora_b')"
)
_KNOWN = "SELECT 1 FROM fusions WHERE capture_fused = capture_of(?) LIMIT 1"
_ROWS = "SELECT * FROM {} WHERE capture = capture_of(?)"


def fill(session: Evidence, a: str, b: str) -> None:
    """Where a has an adapter and b has none: measure how much of it b holds, layer by layer.

    Adds to `fusions`.
    """
    if (
        not session.rows(_ADAPTED, [a])[0]["n"]
        or session.rows(_ADAPTED, [b])[0]["n"]
        or session.rows(_KNOWN, [b])
    ):
        return
    from forensics.capture.fusion import fusions  # import time: NumPy, here and below
    from forensics.judge.deltas import dense_values  # import time
    from forensics.tensors import measure  # import time

    paired(session, a, b)
    modules = session.rows(_ROWS.format("modules"), [a])
    placements: dict[str, list[Row]] = {
        ref: list(session.rows(_ROWS.format("parameters"), [ref])) for ref in (a, b)
    }
    names = {ref: str(rows[0]["capture"]) for ref, rows in placements.items() if rows}
    digests = {
        (names[ref], str(p["name"])): str(p["value_digest"] or p["digest"])
        for ref, rows in placements.items()
        for p in rows
    }
    read = dense_values(session, a, b)

    def values(capture: str, name: str) -> NDArray[np.float32] | None:
        digest = digests.get((capture, name))
        raw = read(digest) if digest else None
        return measure.values(raw) if raw is not None else None

    by_name = {names[ref]: rows for ref, rows in placements.items()}
    session.insert("fusions", list(fusions(names[a], names[b], by_name, modules, values)))


def replay(session: Session, a: str, b: str) -> Row | None:
    """What `fused-replay` says of the pair; None where no adapter of a could have gone into b."""
    if not session.rows(_KNOWN, [b]):
        return None
    return next(iter(session.rows("SELECT * FROM fused_replay(?, ?)", [a, b])), None)
