"""Compiled loops say what NumPy says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from forensics.records import RawTensor
from forensics.tensors import decode, deltas, kernels, measure


def raw(array: np.ndarray[Any, Any], dtype: str) -> RawTensor:
    data = array.tobytes()
    return RawTensor("t", dtype, array.shape, len(data), lambda start, stop: data[start:stop])


def arrays(dtype: str, odd: bool) -> tuple[RawTensor, RawTensor]:
    random = np.random.default_rng(7)
    x = random.normal(0.5, 2.0, 9001).astype("<f4")
    x[:50] = 0.0
    y = x + (random.random(9001) < 0.5) * np.float32(1e-3)
    if odd:
        y[[3, 8000]] = [np.nan, np.inf]
    if dtype == "BF16":
        return tuple(raw((v.astype("<f4").view("<u4") >> 16).astype("<u2"), dtype) for v in (x, y))  # type: ignore[return-value]
    if dtype == "F16":
        return raw(x.astype("<f2"), dtype), raw(y.astype("<f2"), dtype)
    if dtype in ("U32", "I32"):
        return tuple(raw(v, dtype) for v in (x.view("<u4"), y.astype("<f4").view("<u4")))  # type: ignore[return-value]
    return raw(x, dtype), raw(y.astype("<f4"), dtype)


@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16", "U32", "I32"])
def test_compiled_and_plain_agree(monkeypatch: pytest.MonkeyPatch, dtype: str, odd: bool) -> None:
    pytest.importorskip("llvmlite")
    fast = kernels.compiled(dtype)
    assert fast is not None
    a, b = arrays(dtype, odd)
    found = []
    for made in (None, fast):
        monkeypatch.setattr(measure, "loops", lambda dtype, nbytes, made=made: made)
        monkeypatch.setattr(deltas, "loops", lambda dtype, nbytes, made=made: made)
        found.append((measure.measure(a), measure.measure(b), measure.difference(a, b, "", "")))
    for plain, quick in zip(*found, strict=True):
        for name in plain.__slots__:
            p, q = getattr(plain, name), getattr(quick, name)
            assert (
                q == pytest.approx(p, rel=1e-12, abs=1e-15, nan_ok=True) if isinstance(p, float) else p == q
            ), name


def test_around_a_mean_that_hides_the_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of numbers near 1000 that differ by 1e-3, sums of squares alone have no digit of the spread left."""
    pytest.importorskip("llvmlite")
    x = (1000 + np.random.default_rng(3).normal(0, 1e-3, 50_000)).astype("<f4")
    monkeypatch.setattr(measure, "loops", lambda dtype, nbytes: kernels.compiled(dtype))
    assert measure.measure(raw(x, "F32")).std == pytest.approx(x.astype(np.float64).std(), rel=1e-12)


def test_loaded_once_enough_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_seen", 0)
    monkeypatch.setattr(kernels, "compiled", lambda dtype: dtype)
    half = kernels.WORTH // 2
    assert [kernels.loops("F32", n) for n in (half, half - 1, 1, 0)] == [None, None, "F32", "F32"]
    assert kernels.loops("F64", 0) is None
    monkeypatch.setenv(kernels.OFF, "1")
    assert kernels.loops("F32", kernels.WORTH) is None


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16", "U32", "I32"])
def test_counts_hold_a_whole_block(dtype: str) -> None:
    """Every element counts, in the largest block that is ever handed over: no lane overflows."""
    pytest.importorskip("llvmlite")
    fast = kernels.compiled(dtype)
    assert fast is not None
    n = decode.BLOCK // decode.WIDTH[dtype]
    nothing, ones = bytes(decode.BLOCK), bytes([1]) * decode.BLOCK
    assert fast.moments(nothing, n)[-1] == n
    assert fast.differences(nothing, ones, n)[2] == n


def test_loaded_at_once_where_much_is_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_seen", 0)
    monkeypatch.setattr(kernels, "compiled", lambda dtype: dtype)
    kernels.expect(kernels.WORTH)
    assert kernels.loops("F32", 1) == "F32"
