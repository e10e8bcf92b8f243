"""What moved between two captures of a run, where weights are packed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from forensics.capture.fusepoints import Fused
from forensics.capture.pairs import Between
from forensics.capture.pointnames import Named
from forensics.capture.rows import Record
from forensics.capture.sources import Sources
from forensics.records import Row, Scalar
from forensics.tensors import digest as digests
from forensics.units import iso
from tests.support.bytes import Bytes


def test_codes_are_told_apart_not_the_words_that_hold_them() -> None:
    """One 4-bit code of 64 goes from 1 to 3, in the highest bits of a word."""
    kept = Bytes()
    words = np.full((1, 8), 0x11111111, np.uint32)
    moved = words.copy()
    moved[0, 5] = 0x31111111
    one, zero = (kept.add(np.full((1, 1), x, np.float32), "F32") for x in (1.0, 0.0))
    records = [
        _record(n, point, kept.add(w, "U32"), one, zero)
        for n, (point, w) in enumerate((("start", words), ("end", moved)))
    ]
    Between(cast(Sources, SimpleNamespace(read=kept.raw.get))).fill(records, Fused([], {}), "m0")
    found = {str(row["digest_a"]): row for row in records[1].rows("deltas")}
    first = records[0].rows("placements")[0]
    assert found.keys() == {first["digest"], first["value_digest"]}
    for row in found.values():
        assert (row["max_abs"], row["changed_fraction"]) == (2.0, 1 / 64)


def test_codes_of_one_side_and_words_of_the_other_are_not_compared() -> None:
    kept = Bytes()
    one, zero = (kept.add(np.full((1, 1), x, np.float32), "F32") for x in (1.0, 0.0))
    words = (np.full((1, 8), x, np.uint32) for x in (0x11111111, 0x31111111))
    records = [
        _record(n, point, kept.add(w, "U32"), one, zero)
        for n, (point, w) in enumerate(zip(("start", "end"), words, strict=True))
    ]
    weight = records[1].rows("placements")[0]
    weight |= {"value_digest": None, "packing": None}  # type: ignore[operator] # nothing says how it is packed
    Between(cast(Sources, SimpleNamespace(read=kept.raw.get))).fill(records, Fused([], {}), "m0")
    assert records[1].rows("deltas") == []


def test_only_what_fusing_reached_is_held_against_the_adapter() -> None:
    """A base that was loaded before fusing, or after it for a comparison, never held the adapter.

    Nor one whose adapter was taken off.
    """
    kept = Bytes()
    base, a, b = np.ones((2, 3), np.float32), np.ones((3, 1), np.float32), np.ones((1, 2), np.float32)
    factors = {"q.lora_a": kept.add(a, "F32"), "q.lora_b": kept.add(b, "F32")}
    plain, fused = (kept.add(w, "F32") for w in (base, base + 2.0))
    records = [
        _adapted(0, "m0", {"q.weight": plain} | factors),
        _adapted(1, "m0", {"q.weight": plain}),
        _adapted(2, "m1", {"q.weight": plain}),
        _adapted(5, "m2", {"q.weight": fused}),
        _adapted(6, "m3", {"q.weight": plain}),
        _adapted(7, "m4", {"q.weight": plain}, source="file", path="/run/merged"),
    ]
    detail: dict[str, Any] = {"what": "model", "path": "merged"}
    events: list[Row] = [
        {"kind": "fuse", "time": 3.0, "model": "m1", "detail": {}},
        {"kind": "save", "time": 4.0, "model": None, "detail": {"path": "/run/merged/model.safetensors"}},
        {"kind": "load", "time": 5.0, "model": "m2", "detail": detail},
        {"kind": "load", "time": 6.0, "model": "m3", "detail": detail | {"path": "base"}},
    ]
    Between(cast(Sources, SimpleNamespace(read=kept.raw.get))).fill(records, Fused(events, {0: "/run"}), "m0")
    assert {r.named.model: row["k"] for r in records for row in r.rows("fusions")} == {"m2": 1.0, "m4": 0.0}


def _adapted(number: int, model: str, tensors: dict[str, str], **head: str) -> Record:
    """A capture of `number` seconds after the run's start."""
    named = Named(number, f"r@{number}", f"r@{number}", str(number), 1, number, model, 0)
    placed: list[Row] = [
        {
            "name": n,
            "canonical": n,
            "module": "q",
            "leaf": n[2:],
            "role": n[2:] if "lora" in n else "base",
            "digest": d,
            "value_digest": None,
        }
        for n, d in tensors.items()
    ]
    modules: list[Row] = [{"module": "q", "canonical": "q", "rank": 1, "scale": 2.0}]
    told: dict[str, Scalar] = {
        "created_at": iso(number),
        "probes_of": None,
        "source": "live",
        "updates": 8,
        **head,
    }
    return Record(named, told, {"placements": placed, "modules": modules})


def _record(number: int, point: str, weight: str, scales: str, biases: str) -> Record:
    named = Named(number, f"r@{point}", f"r@{point}", point, 1, number, "m0", 0)
    value = digests.value_digest("affine", 4, 64, weight, scales, biases)
    parts = {"q.weight": (weight, value), "q.scales": (scales, None), "q.biases": (biases, None)}
    placed: list[Row] = [
        {
            "name": name,
            "canonical": name,
            "leaf": name[2:],
            "role": "base",
            "digest": digest,
            "value_digest": value,
            "packing": "affine:4:64" if value else None,
        }
        for name, (digest, value) in parts.items()
    ]
    head = {"created_at": str(number), "probes_of": None, "source": "live"}
    return Record(named, head, {"placements": placed})
