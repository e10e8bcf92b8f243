"""Two captures side by side: what `diff` says, once `deltas.fill` has measured what there is to measure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from forensics.judge import adaptershare
from forensics.judge.pair import Session, paired
from forensics.records import ChangedParameter, Codes, Comparison, Row
from forensics.typed import plain

_CHANGED = """
SELECT p.name_a AS name, p.name_b, p.dtype_a, p.dtype_b, p.shape_a, p.shape_b,
    p.value_digest_a IS NOT NULL AND p.value_digest_b IS NOT NULL
        AND p.dtype_a = 'U32' AND p.dtype_b = 'U32' AS quantized,
    d.max_abs, d.l2, d.relative, d.cosine, d.changed_fraction,
    c.max_abs AS code_max_abs, c.changed_fraction AS code_fraction, p.digest_a = p.digest_b AS same_codes
FROM paired p
LEFT JOIN deltas d ON d.digest_a = p.key_a AND d.digest_b = p.key_b
LEFT JOIN deltas c ON c.digest_a = p.digest_a AND c.digest_b = p.digest_b
WHERE p.status IN ('changed', 'unknown')
ORDER BY p.layer NULLS FIRST, p.canonical
"""
_ALONE = """
SELECT status, coalesce(name_b, name_a) AS name FROM paired WHERE status IN ('added', 'removed')
ORDER BY layer NULLS FIRST, canonical
"""


def compare(session: Session, a: str, b: str) -> Comparison:
    """Everything in which b differs from a, by ref; `fill` measures deltas before."""
    paired(session, a, b)
    counts = {
        row["status"]: int(row["n"])
        for row in session.rows("SELECT status, count(*) AS n FROM paired GROUP BY status")
    }
    names = session.rows(_ALONE) if counts.keys() & {"added", "removed"} else []
    changed = (
        tuple(_changed(row) for row in session.rows(_CHANGED))
        if counts.keys() & {"changed", "unknown"}
        else ()
    )
    both = sum(counts.get(k, 0) for k in ("identical", "changed", "unknown"))
    parameters = {
        "a": both + counts.get("removed", 0),
        "b": both + counts.get("added", 0),
        **{k: counts.get(k, 0) for k in ("identical", "changed", "added", "removed")},
    }
    parameters["changed"] += counts.get("unknown", 0)
    settings = _nonempty(session)
    parts = {name: _part(session, name, a, b) if name in settings else () for name in _PARTS_OF}
    adapter, optimizer = _sides(parts["adapter-diff"]), _sides(parts["optimizer-diff"])
    # an optimizer that only one side has was made between them: that is no difference of the model
    incomparable = [
        parts["modules-diff"],
        adapter,
        [side for side in optimizer.values() if None not in side.values()],
        parts["configs-diff"],
        [t for t in parts["transcripts-diff"] if not t["same"]],
    ]
    differs = any(parameters[kind] for kind in ("changed", "added", "removed")) or any(incomparable)
    return Comparison(
        a=a,
        b=b,
        same=False if differs else True if both else None,
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
        fusion=adaptershare.replay(session, a, b),
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


def _nonempty(session: Session) -> set[str]:
    """The questions whose table holds a row: to plan one takes as long as to compare a model."""
    tables = [f"SELECT '{name}' AS name WHERE EXISTS (FROM {table})" for name, table in _PARTS_OF.items()]
    return {str(row["name"]) for row in session.rows(" UNION ALL ".join(tables))}


def _part(session: Session, name: str, a: str, b: str) -> tuple[Row, ...]:
    rows = session.rows(f"SELECT * FROM {name.replace('-', '_')}(?, ?)", [a, b])
    return tuple({_SIDE.get(k, k): v for k, v in row.items()} for row in rows)


_SIDE = {"in_a": "a", "in_b": "b"}
"""Columns of a question may not bear the names of its parameters a and b."""


def _changed(row: Mapping[str, Any]) -> ChangedParameter:
    codes = None
    if row["quantized"]:
        codes = Codes(
            0.0 if row["same_codes"] else row["code_max_abs"],
            0.0 if row["same_codes"] else row["code_fraction"],
        )
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


# -- JSON ----------------------------------------------------------------------------------------------------


def document(comparison: Comparison) -> dict[str, Any]:
    """What `diff --json` prints; its keys change only with `schema`. NaN and infinity are strings."""
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
        "fusion": plain(c.fusion) if c.fusion is not None else None,
    }


def _as_json(p: ChangedParameter) -> dict[str, Any]:
    fields = {
        k: getattr(p, k)
        for k in ("name", "name_b", "dtype", "max_abs", "l2", "relative", "cosine", "changed_fraction")
    }
    codes = (
        {"codes": plain({"max_abs": p.codes.max_abs, "changed_fraction": p.codes.changed_fraction})}
        if p.codes
        else {}
    )
    return {**fields, "shape": list(p.shape), **codes}
