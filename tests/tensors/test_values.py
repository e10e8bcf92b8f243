"""Tensors read by what they mean."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.records import Row
from forensics.tensors import digest, measure
from forensics.tensors.values import Values, compared, parts
from tests.support.bytes import Bytes


def packed(kept: Bytes, packing: str | None, value: str | None = None) -> tuple[list[Row], str]:
    """Placements of a weight of eight 4-bit codes a word, each 1, by a scale of 2; and its value digest."""
    weight = kept.add(np.full((1, 8), 0x11111111, np.uint32), "U32")
    scales, biases = (kept.add(np.full((1, 1), x, np.float32), "F32") for x in (2.0, 0.5))
    true = digest.value_digest("affine", 4, 64, weight, scales, biases)
    of: Row = {"name": "q.weight", "digest": weight, "value_digest": value or true, "packing": packing}
    rest: list[Row] = [
        {"name": f"q.{leaf}", "digest": each, "value_digest": None}
        for leaf, each in (("scales", scales), ("biases", biases))
    ]
    return [of, *rest], value or true


def test_a_packed_weight_is_dense_by_its_value_digest() -> None:
    kept = Bytes()
    rows, value = packed(kept, "affine:4:64")
    raw = Values(kept.raw.get, parts(rows)).read(value)
    assert raw is not None and raw.shape == (1, 64)
    found = measure.values(raw)
    assert found is not None and set(found.ravel()) == {2.5}


@pytest.mark.parametrize(
    ("packing", "value"),
    [(None, None), ("affine:4:64", "f" * 64), ("affine:8:64", None), ("mxfp4:4:32", None)],
    ids=["nothing says how", "another value's digest", "other bits", "another mode"],
)
def test_parts_that_are_not_of_this_value_are_no_evidence(packing: str | None, value: str | None) -> None:
    """A stranger's rows may give any digest to any parts; what is measured is remembered by digest."""
    kept = Bytes()
    rows, named = packed(kept, packing, value)
    other = kept.add(np.zeros((1, 64), np.float32), "F32")
    values = Values(kept.raw.get, parts(rows))
    assert values.read(named) is None
    assert compared(values, [(named, other)]) == []
