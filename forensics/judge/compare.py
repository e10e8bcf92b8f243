"""Two captures side by side: what `diff` says. Deltas that nobody measured yet are measured here, where the bytes are there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from forensics.errors import ForensicsError
from forensics.judge.library import Sql
from forensics.records import ChangedParameter, Codes, Comparison, Delta, RawTensor, Row
from forensics.store.tensors import digests, olddeltas
from forensics.store.tensors.workers import Workers

Read = Callable[[str], RawTensor | None]


class Evidence(Sql, Protocol):
    """What a comparison asks of a session."""

    def insert(self, table: str, rows: Sequence[Row], /) -> None: ...
    def read(self, digest: str, /) -> RawTensor | None: ...


# -- deltas ----------------------------------------------------------------------------------------------------------

_UNMEASURED = """
WITH pairs AS (
    SELECT key_a AS x, key_b AS y FROM paired($1, $2) WHERE status = 'changed'
    UNION
    SELECT digest_a, digest_b FROM paired($1, $2)
    WHERE status = 'changed' AND dtype_a = 'U32' AND dtype_b = 'U32' AND shape_a = shape_b AND digest_a <> digest_b
)
SELECT x, y, s.l2 AS norm_x, t.l2 AS norm_y FROM pairs
ANTI JOIN deltas ON digest_a = x AND digest_b = y
LEFT JOIN tensors s ON s.digest = x AND s.nans + s.infs = 0
LEFT JOIN tensors t ON t.digest = y AND t.nans + t.infs = 0
ORDER BY x, y
"""
_PARTS = """
SELECT w.value_digest, w.digest AS weight, w.layout, s.digest AS scales, z.digest AS biases
FROM placements w
LEFT JOIN placements s ON s.capture = w.capture AND s.module = w.module AND s.role = 'scales' AND w.leaf = 'weight'
LEFT JOIN placements z ON z.capture = w.capture AND z.module = w.module AND z.role = 'biases' AND w.leaf = 'weight'
WHERE w.value_digest IS NOT NULL AND w.capture IN (capture_of(?), capture_of(?))
"""
_FORMATS = [("affine", bits, group) for bits in (4, 8, 6, 5, 3, 2) for group in (64, 32, 128)] + [
    ("mxfp4", 4, 32),
    ("nvfp4", 4, 16),
    ("mxfp8", 8, 32),
]


def fill(session: Evidence, a: str, b: str) -> list[Delta]:
    """Measure what differs between a and b and was not measured when they were captured; returns what was added to `deltas`."""
    pairs = session.rows(_UNMEASURED, [a, b]) if a != b else []
    if not pairs:
        return []
    named = [(str(pair["x"]), str(pair["y"])) for pair in pairs]
    known = olddeltas.recall(named)
    deltas = _measured(session, a, b, pairs) if known is None else known
    if known is None:
        olddeltas.remember(named, deltas)
    if deltas:
        session.insert("deltas", [{name: getattr(d, name) for name in Delta.__slots__} for d in deltas])
    return deltas


def _measured(session: Evidence, a: str, b: str, pairs: Sequence[Row]) -> list[Delta]:
    values = _Values(session, a, b)
    found = [
        _Lying(x, y, _lying(values.read, x), _lying(values.read, y), _norms(p)) for p in pairs for x, y in [(str(p["x"]), str(p["y"]))]
    ]
    _expect(sum(pair.a.nbytes for pair in found if pair.a))
    done = Workers().map(_delta, found, lambda pair: pair.a.nbytes if pair.a else 0, far=False)
    return [d for d in done if d is not None]


class _Lying(NamedTuple):
    """Two tensors that differ, where they lie; norms of both where they are known and both are finite throughout."""

    x: str
    y: str
    a: RawTensor | None
    b: RawTensor | None
    norms: tuple[float, float] | None


def _norms(pair: Row) -> tuple[float, float] | None:
    x, y = pair["norm_x"], pair["norm_y"]
    return (x, y) if isinstance(x, float) and isinstance(y, float) else None


def _expect(nbytes: int) -> None:
    if nbytes:
        from forensics.store.tensors import kernels

        kernels.expect(nbytes)


def _lying(read: Read, digest: str) -> RawTensor | None:
    try:
        return read(digest)
    except (OSError, ForensicsError):
        return None


def _delta(pair: _Lying) -> Delta | None:
    """The difference of two tensors; None where bytes are gone, cannot be read, or shapes differ."""
    from forensics.store.tensors import measure  # NumPy takes longer to load than all else where nothing is left to measure

    x, y, a, b, norms = pair
    try:
        return None if a is None or b is None or a.shape != b.shape else measure.difference(a, b, x, y, norms)
    except (OSError, ForensicsError):
        return None


class _Values:
    """Tensors by digest, and by value digest: quantized weights dense, tensors of other layouts as mlx-lm has them.

    Mode, bits and group size of a quantized weight are those whose digest it is.
    """

    def __init__(self, session: Evidence, a: str, b: str) -> None:
        self._session = session
        self._parts = {row["value_digest"]: row for row in session.rows(_PARTS, [a, b])}

    def read(self, digest: str) -> RawTensor | None:
        row = self._parts.get(digest)
        if row is None:
            return self._session.read(digest)
        if row["scales"] is None:
            from forensics.store.tensors.arranged import arranged

            raw = self._session.read(row["weight"])
            return raw and arranged(raw, row["layout"] or "")
        return self._dense(digest, row)

    def _dense(self, value_digest: str, row: Mapping[str, Any]) -> RawTensor | None:
        from forensics.store.tensors import measure

        for mode, bits, group in _FORMATS:
            if digests.value_digest(mode, bits, group, row["weight"], row["scales"], row["biases"]) == value_digest:
                weight, scales = self._session.read(row["weight"]), self._session.read(row["scales"])
                biases = self._session.read(row["biases"]) if row["biases"] else None
                if weight is None or scales is None:
                    return None
                try:
                    return measure.dense(weight, scales, biases, bits=bits, group_size=group, mode=mode)
                except ValueError:
                    return None
        return None


# -- the document ----------------------------------------------------------------------------------------------------

_CHANGED = """
SELECT p.name_a AS name, p.name_b, p.dtype_a, p.dtype_b, p.shape_a, p.shape_b,
    p.value_digest_a IS NOT NULL AND p.value_digest_b IS NOT NULL AND p.dtype_a = 'U32' AND p.dtype_b = 'U32' AS quantized,
    d.max_abs, d.l2, d.relative, d.cosine, d.changed_fraction,
    c.max_abs AS code_max_abs, c.changed_fraction AS code_fraction, p.digest_a = p.digest_b AS same_codes
FROM side_by_side p
LEFT JOIN deltas d ON d.digest_a = p.key_a AND d.digest_b = p.key_b
LEFT JOIN deltas c ON c.digest_a = p.digest_a AND c.digest_b = p.digest_b
WHERE p.status IN ('changed', 'unknown')
ORDER BY p.layer NULLS FIRST, p.canonical
"""
_ALONE = """
SELECT status, coalesce(name_b, name_a) AS name FROM side_by_side WHERE status IN ('added', 'removed') ORDER BY layer NULLS FIRST, canonical
"""


def compare(session: Evidence, a: str, b: str) -> Comparison:
    """Everything in which b differs from a, by ref; `fill` measures deltas before."""
    session.rows("CREATE OR REPLACE TEMP TABLE side_by_side AS SELECT * FROM paired(?, ?)", [a, b])
    counts = {row["status"]: int(row["n"]) for row in session.rows("SELECT status, count(*) AS n FROM side_by_side GROUP BY status")}
    names = session.rows(_ALONE)
    changed = tuple(_changed(row) for row in session.rows(_CHANGED))
    both = sum(counts.get(k, 0) for k in ("identical", "changed", "unknown"))
    parameters = {
        "a": both + counts.get("removed", 0),
        "b": both + counts.get("added", 0),
        **{k: counts.get(k, 0) for k in ("identical", "changed", "added", "removed")},
    }
    parameters["changed"] += counts.get("unknown", 0)
    asked = _asked(session)
    parts = {name: _part(session, name, a, b) if name in asked else () for name in _PARTS_OF}
    adapter, optimizer = _sides(parts["adapter-diff"]), _sides(parts["optimizer-diff"])
    # an optimizer that only one side has was made between them: that is no difference of the model
    apart = [
        parts["modules-diff"],
        adapter,
        [side for side in optimizer.values() if None not in side.values()],
        parts["configs-diff"],
        [t for t in parts["transcripts-diff"] if not t["same"]],
    ]
    return Comparison(
        a=a,
        b=b,
        same=not (parameters["changed"] or parameters["added"] or parameters["removed"] or any(apart)),
        parameters=parameters,
        changed=changed,
        added=tuple(str(row["name"]) for row in names if row["status"] == "added"),
        removed=tuple(str(row["name"]) for row in names if row["status"] == "removed"),
        modules=parts["modules-diff"],
        adapter=adapter,
        optimizer=optimizer,
        configs=parts["configs-diff"],
        transcripts=parts["transcripts-diff"],
        scores=parts["scores-diff"],
        environment=parts["environment-diff"],
    )


_PARTS_OF = {
    "modules-diff": "modules",
    "adapter-diff": "adapters",
    "optimizer-diff": "optimizers",
    "configs-diff": "configs",
    "transcripts-diff": "transcripts",
    "scores-diff": "scores",
    "environment-diff": "environment",
}
"""Questions of queries/ask that give the parts of a comparison, and the table that each is about."""


def _asked(session: Evidence) -> set[str]:
    """The questions whose table holds a row: to plan one takes as long as to compare a model."""
    tables = [f"SELECT '{name}' AS name WHERE EXISTS (FROM {table})" for name, table in _PARTS_OF.items()]
    return {str(row["name"]) for row in session.rows(" UNION ALL ".join(tables))}


def _part(session: Evidence, name: str, a: str, b: str) -> tuple[Row, ...]:
    rows = session.rows(f"SELECT * FROM {name.replace('-', '_')}(?, ?)", [a, b])
    return tuple({_SIDE.get(k, k): v for k, v in row.items()} for row in rows)


_SIDE = {"in_a": "a", "in_b": "b"}
"""Columns of a question may not bear the names of its parameters a and b."""


def _changed(row: Mapping[str, Any]) -> ChangedParameter:
    codes = None
    if row["quantized"]:
        codes = Codes(0.0 if row["same_codes"] else row["code_max_abs"], 0.0 if row["same_codes"] else row["code_fraction"])
    dtype = row["dtype_a"] if row["dtype_a"] == row["dtype_b"] else f"{row['dtype_a']} -> {row['dtype_b']}"
    return ChangedParameter(
        name=row["name"],
        name_b=row["name_b"],
        dtype=dtype or "",
        shape=_shape(row["shape_b"] or row["shape_a"]),
        **{k: row[k] for k in ("max_abs", "l2", "relative", "cosine", "changed_fraction")},
        codes=codes,
    )


def _shape(text: str | None) -> tuple[int, ...]:
    return tuple(json.loads(text)) if text else ()


def _sides(rows: Sequence[Row]) -> dict[str, Row]:
    return {str(row["key"]): {"a": row["a"], "b": row["b"]} for row in rows}


# -- JSON ------------------------------------------------------------------------------------------------------------


def document(comparison: Comparison) -> dict[str, Any]:
    """The JSON form of a comparison: CONTRACT of `diff --json`. NaN and infinity are strings."""
    c = comparison
    return {
        "schema": 1,
        "a": c.a,
        "b": c.b,
        "same": c.same,
        "parameters": dict(c.parameters),
        "changed": [plain(_as_json(p)) for p in c.changed],
        "added": list(c.added),
        "removed": list(c.removed),
        "modules": [plain(r) for r in c.modules],
        "adapter": {k: plain(r) for k, r in c.adapter.items()},
        "optimizer": {k: plain(r) for k, r in c.optimizer.items()},
        "configs": [plain(r) for r in c.configs],
        "transcripts": [plain(r) for r in c.transcripts],
        "scores": [plain(r) for r in c.scores],
        "environment": [plain(r) for r in c.environment],
    }


def _as_json(p: ChangedParameter) -> dict[str, Any]:
    fields = {k: getattr(p, k) for k in ("name", "name_b", "dtype", "max_abs", "l2", "relative", "cosine", "changed_fraction")}
    codes = {"codes": plain({"max_abs": p.codes.max_abs, "changed_fraction": p.codes.changed_fraction})} if p.codes else {}
    return {**fields, "shape": list(p.shape), **codes}


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row that JSON can hold."""
    return {k: _number(v) if isinstance(v, float) else v for k, v in row.items()}


def _number(value: float) -> float | str:
    if value != value:
        return "NaN"
    return {float("inf"): "Infinity", float("-inf"): "-Infinity"}.get(value, value)
