"""Measures how far tensors moved between two captures: the rows of `deltas` that are missing.

A pair is measured where nobody did so yet and the bytes are there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from forensics.errors import ForensicsError
from forensics.judge.pair import Session, paired
from forensics.records import Delta, RawTensor, Row
from forensics.tensors import digest as digests
from forensics.tensors import pastdeltas
from forensics.tensors.workers import Workers, kernels_for

Read = Callable[[str], RawTensor | None]


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
SELECT w.value_digest, w.digest AS weight, w.layout, w.packing, s.digest AS scales, z.digest AS biases
FROM placements w
LEFT JOIN placements s
    ON s.capture = w.capture AND s.module = w.module AND s.role = 'scales' AND w.leaf = 'weight'
LEFT JOIN placements z
    ON z.capture = w.capture AND z.module = w.module AND z.role = 'biases' AND w.leaf = 'weight'
WHERE w.value_digest IS NOT NULL AND w.capture IN (capture_of(?), capture_of(?))
"""
# of captures that were made before `packing` was written down
_FORMATS = [("affine", bits, group) for bits in (4, 8, 6, 5, 3, 2) for group in (64, 32, 128)] + [
    ("mxfp4", 4, 32),
    ("nvfp4", 4, 16),
    ("mxfp8", 8, 32),
]


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
    deltas = _measured(session, a, b, named) if known is None else known
    if known is None:
        pastdeltas.remember(named, deltas)
    if deltas:
        session.insert("deltas", [{name: getattr(d, name) for name in Delta.__slots__} for d in deltas])
    return deltas


def _measured(session: Evidence, a: str, b: str, pairs: Sequence[tuple[str, str]]) -> list[Delta]:
    values = _Values(session, a, b)
    lying = ((x, y, *values.both(x, y)) for x, y in pairs)
    found = [
        (x, y, first, second)
        for x, y, first, second in lying
        if first and second and first.shape == second.shape
    ]
    kernels_for(sum(first.nbytes for _, _, first, _ in found))
    done = Workers().map(lambda pair: _delta(*pair), found, lambda pair: pair[2].nbytes, far=False)
    return [d for d in done if d is not None]


def _lying(read: Read, digest: str) -> RawTensor | None:
    try:
        return read(digest)
    except (OSError, ForensicsError, ValueError):
        return None


def _delta(x: str, y: str, a: RawTensor, b: RawTensor) -> Delta | None:
    """The difference of two tensors of one shape; None where bytes are gone or cannot be read."""
    # NumPy takes longer to load than all else where nothing is left to measure
    from forensics.tensors import measure

    try:
        return measure.difference(a, b, x, y)
    except (OSError, ForensicsError):
        return None


def dense_values(session: Evidence, a: str, b: str) -> Read:
    """Reads tensors of a and b, once `paired`, by digest, quantized weights dense by value digest.

    None where bytes are gone.
    """
    values = _Values(session, a, b)
    return lambda digest: _lying(values._read, digest)


class _Values:
    """Tensors by digest or value digest, as numbers that can be compared.

    By value digest, quantized weights are dense and tensors of other layouts as mlx-lm has them; by digest,
    packed ones are their codes.

    Mode, bits and group size of a quantized weight are those whose digest it is.
    """

    def __init__(self, session: Evidence, a: str, b: str) -> None:
        self._session = session
        valued = session.rows(
            "SELECT 1 FROM paired WHERE coalesce(value_digest_a, value_digest_b) IS NOT NULL LIMIT 1"
        )
        self._parts = {row["value_digest"]: row for row in session.rows(_PARTS, [a, b])} if valued else {}
        self._packed = {
            row["weight"]: digest for digest, row in self._parts.items() if row["scales"] is not None
        }

    def both(self, x: str, y: str) -> tuple[RawTensor | None, RawTensor | None]:
        """Two tensors to be compared; None for one whose bytes are gone or cannot be read."""
        if (x in self._packed) != (y in self._packed):
            return None, None  # codes of the one, words of the other
        read = self._codes if x in self._packed else self._read
        return _lying(read, x), _lying(read, y)

    def _codes(self, digest: str) -> RawTensor | None:
        from forensics.tensors import measure

        weight, packing = self._session.read(digest), self._packing(self._packed[digest])
        return measure.codes(weight, packing[1]) if weight and packing else None

    def _read(self, digest: str) -> RawTensor | None:
        row = self._parts.get(digest)
        if row is None:
            return self._session.read(digest)
        if row["scales"] is None:
            from forensics.tensors.arranged import arranged

            raw = self._session.read(row["weight"])
            return raw and arranged(raw, row["layout"] or "")
        return self._dense(digest, row)

    def _dense(self, value_digest: str, row: Mapping[str, Any]) -> RawTensor | None:
        from forensics.tensors import measure

        weight, scales, packing = (
            self._session.read(row["weight"]),
            self._session.read(row["scales"]),
            self._packing(value_digest),
        )
        biases = self._session.read(row["biases"]) if row["biases"] else None
        if weight is None or scales is None or packing is None:
            return None
        mode, bits, group = packing
        return measure.dense(weight, scales, biases, bits=bits, group_size=group, mode=mode)

    def _packing(self, value_digest: str) -> tuple[str, int, int] | None:
        """Mode, bits and group size under which the parts have this value digest."""
        row = self._parts[value_digest]
        parts = row["weight"], row["scales"], row["biases"]
        told = digests.unpacked(row["packing"])
        formats = _FORMATS if told is None else [told]
        return next((each for each in formats if digests.value_digest(*each, *parts) == value_digest), None)
