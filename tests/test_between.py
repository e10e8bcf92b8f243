"""What moved between two captures of a run, where weights are packed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np

from forensics.records import Row
from forensics.store.sealing.between import Between
from forensics.store.sealing.live import Record
from forensics.store.sealing.naming import Named
from forensics.store.sealing.sources import Sources
from forensics.store.tensors import digests
from forensics.store.tensors.workers import threads
from tests.support.bytes import Bytes


def test_codes_are_told_apart_not_the_words_that_hold_them() -> None:
    """One 4-bit code of 64 goes from 1 to 3, in the highest bits of a word."""
    kept = Bytes()
    words = np.full((1, 8), 0x11111111, np.uint32)
    moved = words.copy()
    moved[0, 5] = 0x31111111
    one, zero = (kept.add(np.full((1, 1), x, np.float32), "F32") for x in (1.0, 0.0))
    records = [_record(n, point, kept.add(w, "U32"), one, zero) for n, (point, w) in enumerate((("start", words), ("end", moved)))]
    with threads() as executor:
        Between(cast(Sources, SimpleNamespace(read=kept.raw.get)), executor).fill(records, [])
    found = {str(row["digest_a"]): row for row in records[1].rows("deltas")}
    first = records[0].rows("placements")[0]
    assert found.keys() == {first["digest"], first["value_digest"]}
    for row in found.values():
        assert (row["max_abs"], row["changed_fraction"]) == (2.0, 1 / 64)


def test_codes_of_one_side_and_words_of_the_other_are_not_compared() -> None:
    kept = Bytes()
    one, zero = (kept.add(np.full((1, 1), x, np.float32), "F32") for x in (1.0, 0.0))
    words = (np.full((1, 8), x, np.uint32) for x in (0x11111111, 0x31111111))
    records = [_record(n, point, kept.add(w, "U32"), one, zero) for n, (point, w) in enumerate(zip(("start", "end"), words, strict=True))]
    records[1].quantization = {}  # nothing says how it is packed
    records[1].rows("placements")[0]["value_digest"] = None  # type: ignore[index]
    with threads() as executor:
        Between(cast(Sources, SimpleNamespace(read=kept.raw.get)), executor).fill(records, [])
    assert records[1].rows("deltas") == []


def _record(number: int, point: str, weight: str, scales: str, biases: str) -> Record:
    named = Named(number, f"r@{point}", f"r@{point}", point, 1, number, "m0", 0)
    value = digests.value_digest("affine", 4, 64, weight, scales, biases)
    parts = {"q.weight": (weight, value), "q.scales": (scales, None), "q.biases": (biases, None)}
    placed: list[Row] = [
        {"name": name, "canonical": name, "leaf": name[2:], "role": "base", "digest": digest, "value_digest": value}
        for name, (digest, value) in parts.items()
    ]
    head = {"created_at": str(number), "probes_of": None}
    return Record(named, head, {"placements": placed}, quantization={"q.weight": {"mode": "affine", "bits": 4, "group_size": 64}})
