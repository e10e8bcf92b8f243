"""Measures how far tensors moved between two captures: the rows of `deltas` that are missing.

A pair is measured where nobody did so yet and the bytes are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from forensics.judge.pair import Session, paired
from forensics.records import Delta, RawTensor, Row
from forensics.tensors import pastdeltas
from forensics.tensors.values import Read, Values, compared, parts


class Evidence(Session, Protocol):
    """What a judge asks of a session."""

    def insert(self, table: str, rows: Sequence[Row], /) -> None: ...
    def read(self, digest: str, /) -> RawTensor | None: ...


_UNMEASURED = """
WITH pairs AS (
    SELECT key_a AS x, key_b AS y FROM paired WHERE status = 'changed'
    UNION
    SELECT digest_a, digest_b FROM paired
    WHERE status = 'changed' AND dtype_a = 'U32' AND dtype_b = 'U32' AND shape_a = shape_b
        AND digest_a <> digest_b
)
SELECT x, y FROM pairs ANTI JOIN deltas ON digest_a = x AND digest_b = y ORDER BY x, y
"""
_PARTS = """
SELECT capture, name, digest, value_digest, layout, packing FROM placements
WHERE capture IN (capture_of(?), capture_of(?)) AND (value_digest IS NOT NULL OR role IN ('scales', 'biases'))
"""


def fill(session: Evidence, a: str, b: str) -> list[Delta]:
    """Measure what differs between a and b and was not measured when they were captured.

    Returns what was added to `deltas`.
    """
    if a == b:
        return []
    paired(session, a, b)
    if not session.rows("SELECT 1 FROM paired WHERE status = 'changed' LIMIT 1"):
        return []
    named = [(str(pair["x"]), str(pair["y"])) for pair in session.rows(_UNMEASURED)]
    if not named:
        return []
    known = pastdeltas.recall(named)
    deltas = compared(_values(session, a, b), named) if known is None else known
    if known is None:
        pastdeltas.remember(named, deltas)
    if deltas:
        session.insert("deltas", [d.row() for d in deltas])
    return deltas


def dense_values(session: Evidence, a: str, b: str) -> Read:
    """Reads tensors of a and b, once `paired`, by digest, quantized weights dense by value digest.

    None where bytes are gone.
    """
    return _values(session, a, b).read


def _values(session: Evidence, a: str, b: str) -> Values:
    valued = session.rows(
        "SELECT 1 FROM paired WHERE coalesce(value_digest_a, value_digest_b) IS NOT NULL LIMIT 1"
    )
    return Values(session.read, parts(session.rows(_PARTS, [a, b])) if valued else {})
