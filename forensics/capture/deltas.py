"""Measures what moved between captures of one run.

It happens when the run is sealed, while the bytes of both states are there.

Each capture is measured against the first of its model, against the one before it, and against the last
`start` and `end` before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from forensics.capture.pointnames import Named
from forensics.records import Row, Scalar
from forensics.tensors.values import Read


def partners(named: Sequence[Named]) -> list[tuple[Named, Named]]:
    """Pairs (a, b), a before b, that are worth measuring."""
    pairs: list[tuple[Named, Named]] = []
    for i, b in enumerate(named):
        earlier = [a for a in named[:i] if a.model == b.model]
        chosen = [
            *earlier[:1],
            *earlier[-1:],
            *(a for point in ("start", "end") for a in [e for e in earlier if e.point == point][-1:]),
        ]
        if not earlier and named[:i]:
            # another model of the run: a policy against its reference, a copy against its original
            chosen = [named[0]]
        pairs += [(a, b) for a in {id(a): a for a in chosen}.values()]
    return pairs


def changed_digests(a: Sequence[Row], b: Sequence[Row]) -> Iterator[tuple[str, str]]:
    """Digest pairs of parameters that stand in both and differ; `a` and `b` are placements."""
    before = {str(p["canonical"]): p for p in a if p.get("role") != "optimizer"}
    for p in b:
        q = before.get(str(p["canonical"]))
        if (
            q
            and p.get("role") != "optimizer"
            and p.get("digest")
            and q.get("digest")
            and p["digest"] != q["digest"]
        ):
            yield str(q["digest"]), str(p["digest"])


def other_forms(
    start: Sequence[Row], end: Sequence[Row], other: Sequence[Row], types: Mapping[str, Scalar]
) -> Iterator[tuple[str, str]]:
    """Digest pairs of what training left and the same tensor of another model, in another type or packing.

    A cast or a quantized copy has digests of its own, so only a distance says what it was made of: what
    training moved is measured against `start` too. All are placements; `types` has the dtype of digests.
    """
    before, after = _by_canonical(start), _by_canonical(end)
    for name, p in _by_canonical(other).items():
        q = after.get(name)
        if q is None or _form(p, types) == _form(q, types):
            continue
        yield _value(q), _value(p)
        first = before.get(name)
        if first is not None and first["digest"] != q["digest"]:
            yield _value(first), _value(p)


def _by_canonical(placements: Sequence[Row]) -> dict[str, Row]:
    """Tensors with a value of their own: codes of packed weights stand for it, scales and biases do not."""
    return {
        str(p["canonical"]): p
        for p in placements
        if p.get("digest") and p.get("role") not in ("optimizer", "scales", "biases")
    }


def _value(placement: Row) -> str:
    return str(placement.get("value_digest") or placement["digest"])


def _form(placement: Row, types: Mapping[str, Scalar]) -> tuple[Scalar, Scalar]:
    return types.get(str(placement["digest"])), placement.get("packing")


def probe_deltas(a: str, b: str, before: Sequence[Row], after: Sequence[Row], read: Read) -> Iterator[Row]:
    """Rows of `probe_deltas` for the probes that both captures answered.

    `before` and `after` are transcripts.
    """
    earlier = {t["prompt_id"]: t for t in before if t.get("source") == "probe"}
    for t in after:
        s = earlier.get(t["prompt_id"])
        if s is None or t.get("source") != "probe" or s.get("prompt_ids") != t.get("prompt_ids"):
            continue
        x, y = _ids(s.get("output_ids")), _ids(t.get("output_ids"))
        first = next(
            (i for i, (p, q) in enumerate(zip(x, y, strict=False)) if p != q),
            None if len(x) == len(y) else min(len(x), len(y)),
        )
        yield {
            "capture_a": a,
            "capture_b": b,
            "prompt_id": t["prompt_id"],
            "same_output": x == y,
            "first_difference": first,
            **_logits(_vector(s, read), _vector(t, read)),
        }


def _ids(value: Scalar) -> list[int]:
    return json.loads(value) if isinstance(value, str) else []


def _vector(transcript: Row, read: Read) -> NDArray[np.float64] | None:
    digest = transcript.get("logits_digest")
    raw = read(str(digest)) if digest else None
    if raw is None or raw.dtype != "F32":
        return None
    return np.frombuffer(raw.read(0, raw.nbytes), dtype="<f4").astype(np.float64)


def _logits(x: NDArray[np.float64] | None, y: NDArray[np.float64] | None) -> Mapping[str, Scalar]:
    """Differences of two logit vectors, and KL(softmax x || softmax y) in nats."""
    if x is None or y is None or x.shape != y.shape:
        return {"logits_max_abs": None, "logits_l2": None, "logits_scale": None, "kl": None}
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return {
            "logits_max_abs": float("nan"),
            "logits_l2": float("nan"),
            "logits_scale": float(np.abs(x[np.isfinite(x)]).max(initial=0.0)),
            "kl": float("nan"),
        }
    p, q = _log_softmax(x), _log_softmax(y)
    return {
        "logits_max_abs": float(np.abs(x - y).max()),
        "logits_l2": float(np.linalg.norm(x - y)),
        "logits_scale": float(np.abs(x).max()),
        "kl": max(0.0, float(np.sum(np.exp(p) * (p - q)))),
    }


def _log_softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = x - x.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()), dtype=np.float64)
