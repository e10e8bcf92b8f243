"""Digest and statistics against plain NumPy in float64, over every type, odd values and block borders."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forensics.errors import UnreadableModel
from forensics.records import RawTensor
from forensics.tensors import decode, kernels, measure

FLOATS = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
INTEGERS = {
    "I8": "i1",
    "U8": "u1",
    "I16": "<i2",
    "U16": "<u2",
    "I32": "<i4",
    "U32": "<u4",
    "I64": "<i8",
    "U64": "<u8",
}


def raw(data: bytes, dtype: str, shape: tuple[int, ...]) -> RawTensor:
    return RawTensor("t", dtype, shape, len(data), lambda start, stop: data[start:stop])


def from_array(array: np.ndarray[Any, Any], dtype: str) -> RawTensor:
    return raw(array.tobytes(), dtype, array.shape)


def bf16(array: np.ndarray[Any, Any]) -> tuple[RawTensor, np.ndarray[Any, Any]]:
    """A BF16 tensor by truncation, and its exact values."""
    bits = (np.asarray(array, dtype="<f4").view("<u4") >> 16).astype("<u2")
    return from_array(bits, "BF16"), (bits.astype("<u4") << 16).view("<f4").astype(np.float64)


def close(found: float | None, wanted: float, size: float) -> bool:
    """Equal to 12 digits of the largest number that took part."""
    return found is not None and (found == wanted or abs(found - wanted) <= 1e-12 * max(size, abs(wanted)))


def check(tensor: RawTensor, x: np.ndarray[Any, Any]) -> None:
    """`x` holds the values in float64 or longdouble."""
    s = measure.measure(tensor)
    text = f"{tensor.dtype}\0{'x'.join(str(n) for n in tensor.shape)}\0".encode()
    assert s.digest == hashlib.sha256(text + bytes(tensor.read(0, tensor.nbytes))).hexdigest()
    assert (s.dtype, s.shape, s.size, s.nbytes) == (tensor.dtype, tensor.shape, x.size, tensor.nbytes)
    finite = x[np.isfinite(x)].astype(np.longdouble)
    assert (s.zeros, s.nans, s.infs) == (
        np.count_nonzero(x == 0),
        np.count_nonzero(np.isnan(x)),
        np.count_nonzero(np.isinf(x)),
    )
    if finite.size == 0:
        assert (s.mean, s.std, s.min, s.max, s.l2) == (None, None, None, None, None)
        return
    largest = float(np.abs(finite).max())
    assert (s.min, s.max) == (float(finite.min()), float(finite.max()))
    scale = np.longdouble(largest or 1)
    scaled = finite / scale
    assert close(s.mean, float(scaled.mean() * scale), largest)
    assert close(s.std, float(scaled.std() * scale), largest)
    norm = np.sqrt((scaled * scaled).sum()) * scale
    assert close(s.l2, float(norm), 0.0)


@pytest.mark.parametrize("dtype", FLOATS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_floats(dtype: str, data: st.DataObject) -> None:
    check(
        from_array(
            x := data.draw(hnp.arrays(FLOATS[dtype], hnp.array_shapes(max_dims=3, min_side=0, max_side=9))),
            dtype,
        ),
        x.astype(float),
    )


@settings(max_examples=60, deadline=None)
@given(hnp.arrays("<f4", hnp.array_shapes(max_dims=3, min_side=0, max_side=9)))
def test_bfloat16(x: np.ndarray[Any, Any]) -> None:
    check(*bf16(x))


@pytest.mark.parametrize("dtype", INTEGERS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_integers(dtype: str, data: st.DataObject) -> None:
    x = data.draw(hnp.arrays(INTEGERS[dtype], hnp.array_shapes(max_dims=2, min_side=0, max_side=9)))
    check(from_array(x, dtype), x.astype(np.float64))


@pytest.mark.parametrize("dtype", ["F16", "F32", "F64", "BF16", "U32", "I8", "U16"])
@pytest.mark.parametrize(
    "size", [measure.SMALL, measure.SMALL + 1, measure.BLOCK // 2, measure.BLOCK // 2 + 1, 700_001]
)
def test_over_block_borders(dtype: str, size: int) -> None:
    x = np.random.default_rng(size).normal(0.02, 1.0, size)
    x[[0, size // 2, size - 1]] = [0.0, 5.0, -7.0]
    if dtype == "BF16":
        check(*bf16(x.astype("<f4")))
        return
    array = x.astype(FLOATS[dtype]) if dtype in FLOATS else (x * 10).astype(np.int64).astype(INTEGERS[dtype])
    check(from_array(array, dtype), array.astype(np.float64))


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64"])
def test_nan_and_infinity_in_one_block_of_many(dtype: str) -> None:
    x = np.random.default_rng(1).normal(size=400_000).astype("<f4")
    x[[3, 300_000]] = np.nan
    x[[7, 399_999]] = [np.inf, -np.inf]
    tensor, values = (
        bf16(x)
        if dtype == "BF16"
        else (from_array(y := x.astype(FLOATS[dtype]), dtype), y.astype(np.float64))
    )
    check(tensor, values)
    assert (measure.measure(tensor).nans, measure.measure(tensor).infs) == (2, 2)


def test_sums_do_not_overflow_or_vanish() -> None:
    for x in ([1.7e308, -1.7e308], [1e308] * 3, [5e-324, 1e-310], [1e200, 1e-200, 0.0], [3e38] * 4):
        s = measure.measure(from_array(np.array(x), "F64"))
        wide = np.array(x, dtype=np.longdouble)
        assert close(s.std, float(wide.std()), max(map(abs, x)))
        assert close(s.l2, float(np.sqrt((wide * wide).sum())), 0.0)


def test_a_constant_tensor_has_no_spread() -> None:
    for value in (0.1, 1.0, 1e-8):
        for tensor in (
            from_array(np.full(100_003, value, "<f4"), "F32"),
            bf16(np.full(100_003, value, "<f4"))[0],
        ):
            s = measure.measure(tensor)
            assert s.std == pytest.approx(0.0, abs=1e-13 * value)
            assert s.min == s.max == pytest.approx(s.mean, rel=1e-14)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,)])
def test_scalars_and_nothing(shape: tuple[int, ...]) -> None:
    x = np.full(shape, 2.5, "<f4")
    check(from_array(x, "F32"), x.astype(np.float64))


def test_a_block_type_has_a_digest_and_no_statistics() -> None:
    s = measure.measure(raw(bytes(range(20)), "Q4_1", (32,)))
    assert s.digest == hashlib.sha256(b"Q4_1\x0032\x00" + bytes(range(20))).hexdigest()
    assert (s.size, s.nbytes, s.mean, s.zeros, s.l2) == (32, 20, None, None, None)


def test_float8_tables() -> None:
    e4m3, e5m2, e8m0 = (decode.table(f"F8_{kind}") for kind in ("E4M3", "E5M2", "E8M0"))
    assert (e4m3[0x7E], e4m3[0x01], e4m3[0x38], e4m3[0xB8]) == (448.0, 2.0**-9, 1.0, -1.0)
    assert np.isnan(e4m3[[0x7F, 0xFF]]).all() and np.isfinite(e4m3).sum() == 254
    assert (e5m2[0x7B], e5m2[0x7C], e5m2[0x3C]) == (57344.0, np.inf, 1.0)
    assert (e8m0[127], e8m0[0], e8m0[254]) == (1.0, 2.0**-127, 2.0**127) and np.isnan(e8m0[255])


def test_a_short_read_is_refused() -> None:
    cut = RawTensor("cut", "F32", (100,), 400, lambda start, stop: bytes(100))
    with pytest.raises(UnreadableModel):
        measure.measure(cut)


def test_memory_does_not_grow_with_the_tensor() -> None:
    import tracemalloc

    block = bytes(measure.BLOCK)
    peaks = []
    for nbytes in (
        kernels.WORTH,
        1 << 22,
        1 << 26,
    ):  # the first loads the compiled loops, which is not the tensor's memory
        tensor = RawTensor(
            "big", "F32", (nbytes // 4,), nbytes, lambda start, stop: memoryview(block)[: stop - start]
        )
        tracemalloc.start()
        measure.measure(tensor)
        measure.difference(tensor, tensor, "a", "b")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # bytes; bookkeeping of a few kilobytes may differ
    assert peaks[2] < peaks[1] + 100_000 and peaks[1] < 6e6


def wanted_difference(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> tuple[float, float, float]:
    d = y - x
    return (
        float(np.abs(d).max()),
        float(np.linalg.norm(d)),
        float(x.ravel() @ y.ravel() / np.linalg.norm(x) / np.linalg.norm(y)),
    )


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32", "F64", "I8", "U32"])
@pytest.mark.parametrize("size", [1, 37, 65_536, 65_537, 300_001])
def test_difference(dtype: str, size: int) -> None:
    random = np.random.default_rng(size)
    x = random.normal(0.0, 3.0, size).astype("<f4")
    y = (x + (random.random(size) < 0.3) * random.normal(0.0, 0.1, size)).astype("<f4")
    if dtype == "BF16":
        (a, x), (b, y) = bf16(x), bf16(y)
    else:
        form = FLOATS.get(dtype) or INTEGERS[dtype]
        p, q = (v.astype(form) if dtype in FLOATS else np.abs(v * 10).astype(form) for v in (x, y))
        a, b, x, y = from_array(p, dtype), from_array(q, dtype), p.astype(np.float64), q.astype(np.float64)
    d = measure.difference(a, b, "da", "db")
    largest, norm, cosine = wanted_difference(x, y)
    assert (d.digest_a, d.digest_b, d.max_abs) == ("da", "db", largest)
    assert d.l2 == pytest.approx(norm, rel=1e-12)
    assert d.relative == pytest.approx(norm / np.linalg.norm(x), rel=1e-12)
    assert d.cosine == pytest.approx(cosine, abs=1e-12)
    assert d.changed_fraction == np.count_nonzero(x != y) / size


def test_nearly_equal_vectors_keep_their_digits() -> None:
    x = np.random.default_rng(0).normal(size=500_000)
    y = x * (1 + 1e-7)
    y[5] += 1e-3
    d = measure.difference(from_array(x, "F64"), from_array(y, "F64"), "", "")
    wide, other = x.astype(np.longdouble), y.astype(np.longdouble)
    gap = 1 - (wide * other).sum() / np.sqrt((wide * wide).sum()) / np.sqrt((other * other).sum())
    assert d.cosine is not None and 1 - d.cosine == pytest.approx(float(gap), rel=0.1)


def test_difference_of_nothing_and_of_zeros() -> None:
    zero, one = from_array(np.zeros(5, "<f4"), "F32"), from_array(np.ones(5, "<f4"), "F32")
    d = measure.difference(zero, one, "", "")
    assert (d.max_abs, d.relative, d.cosine, d.changed_fraction) == (1.0, None, None, 1.0)
    assert measure.difference(one, zero, "", "").relative == 1.0
    empty = from_array(np.zeros((0, 4), "<f4"), "F32")
    assert measure.difference(empty, empty, "", "").l2 == 0.0
    # the sign of a zero is a bit, not a value
    minus = measure.difference(zero, from_array(-np.zeros(5, "<f4"), "F32"), "", "")
    assert (minus.changed_fraction, minus.max_abs) == (1.0, 0.0)


def test_difference_says_where_nan_came_in() -> None:
    x = np.arange(1, 6, dtype="<f4")
    same = x.copy()
    same[2] = np.nan
    kept = measure.difference(from_array(same, "F32"), from_array(same, "F32"), "", "")
    assert (kept.max_abs, kept.l2, kept.changed_fraction, kept.cosine) == (0.0, 0.0, 0.0, 1.0)
    broke = measure.difference(from_array(x, "F32"), from_array(same, "F32"), "", "")
    assert all(
        math.isnan(v) for v in (broke.max_abs, broke.l2, broke.relative, broke.cosine) if v is not None
    )
    assert broke.changed_fraction == 0.2
    far = x.copy()
    far[0] = np.inf
    infinite = measure.difference(from_array(x, "F32"), from_array(far, "F32"), "", "")
    assert (infinite.max_abs, infinite.l2, infinite.relative) == (math.inf, math.inf, math.inf)


def test_difference_of_extremes() -> None:
    x, y = np.array([1e-200, 0.0]), np.array([1e200, 1.0])
    d = measure.difference(from_array(x, "F64"), from_array(y, "F64"), "", "")
    assert d.l2 == pytest.approx(1e200) and d.cosine == pytest.approx(1.0) and d.relative == math.inf
    small = measure.difference(from_array(x, "F64"), from_array(2 * x, "F64"), "", "")
    assert small.l2 == pytest.approx(1e-200) and small.relative == pytest.approx(1.0)


def test_difference_between_types_is_by_value() -> None:
    half, exact = bf16(np.arange(300, dtype="<f4") / 64)
    single = exact.astype("<f4")
    assert measure.difference(half, from_array(single, "F32"), "", "").changed_fraction == 0.0
    single[:3] += 1
    d = measure.difference(half, from_array(single, "F32"), "", "")
    assert (d.changed_fraction, d.max_abs) == (0.01, 1.0)
    assert measure.difference(raw(bytes(20), "Q4_1", (32,)), raw(bytes(20), "Q4_1", (32,)), "", "").l2 is None


def test_values_are_float32_in_shape() -> None:
    tensor, exact = bf16(np.random.default_rng(0).normal(size=(7, 5)).astype("<f4"))
    found = measure.values(tensor)
    assert (
        found is not None and found.dtype == np.float32 and (found == exact).all() and found.shape == (7, 5)
    )
    assert measure.values(raw(b"\x01", "BOOL", ())) == 1.0
    assert measure.values(raw(bytes(20), "Q4_1", (32,))) is None
