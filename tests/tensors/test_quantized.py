"""Dequantized weights against mlx's own."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from forensics.records import RawTensor
from forensics.tensors import digest, measure

mx = pytest.importorskip("mlx.core")
NAMES = {"uint32": "U32", "uint8": "U8", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}


def raw(array: Any) -> RawTensor:
    name = str(array.dtype).rpartition(".")[2]
    data = bytes(memoryview(array.view(mx.uint16) if name == "bfloat16" else array))
    return RawTensor("t", NAMES[name], tuple(array.shape), len(data), lambda start, stop: data[start:stop])


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("group_size", [32, 64, 128])
@pytest.mark.parametrize("shape", [(24, 256), (3, 4, 128)])
def test_affine(bits: int, group_size: int, shape: tuple[int, ...]) -> None:
    w = mx.random.normal(shape, key=mx.random.key(bits))
    parts = mx.quantize(w, group_size=group_size, bits=bits)
    wanted = np.array(mx.dequantize(*parts, group_size=group_size, bits=bits))
    found = measure.dequantize(*(raw(p) for p in parts), bits=bits, group_size=group_size, mode="affine")
    assert found.shape == shape and np.abs(found - wanted).max() <= 1e-6 * np.abs(wanted).max()


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_affine_with_short_scales(kind: str) -> None:
    w = mx.random.normal((8, 128), key=mx.random.key(0)).astype(getattr(mx, kind))
    parts = mx.quantize(w, group_size=64, bits=4)
    wanted = np.array(mx.dequantize(*parts, group_size=64, bits=4).astype(mx.float32))
    found = measure.dequantize(*(raw(p) for p in parts), bits=4, group_size=64, mode="affine")
    assert np.abs(found - wanted).max() <= 2.0**-7 * np.abs(wanted).max()  # mlx rounds to the scales' type


@pytest.mark.parametrize(
    ("mode", "bits", "group_size"), [("mxfp4", 4, 32), ("mxfp8", 8, 32), ("nvfp4", 4, 16)]
)
def test_small_floats(mode: str, bits: int, group_size: int) -> None:
    w = mx.random.normal((8, 128), key=mx.random.key(0))
    try:
        parts = mx.quantize(w, group_size=group_size, bits=bits, mode=mode)
    except (TypeError, ValueError):
        pytest.skip(f"this mlx has no {mode}")
    wanted = np.array(
        mx.dequantize(*parts[:2], group_size=group_size, bits=bits, mode=mode).astype(mx.float32)
    )
    found = measure.dequantize(
        raw(parts[0]), raw(parts[1]), None, bits=bits, group_size=group_size, mode=mode
    )
    assert np.abs(found - wanted).max() <= 2.0**-7 * np.abs(wanted).max()


def test_dense_is_read_in_any_parts() -> None:
    parts = [
        raw(p) for p in mx.quantize(mx.random.normal((16, 64), key=mx.random.key(3)), group_size=32, bits=3)
    ]
    dense = measure.dense(*parts, bits=3, group_size=32)
    whole = bytes(dense.read(0, dense.nbytes))
    assert (dense.dtype, dense.shape, len(whole)) == ("F32", (16, 64), 4096)
    assert b"".join(dense.read(i, min(i + 100, 4096)) for i in range(0, 4096, 100)) == whole
    assert bytes(dense.read(5, 5)) == b""


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6, 8])
def test_codes_are_what_scales_and_biases_make_values_of(bits: int) -> None:
    w, s, b = mx.quantize(mx.random.normal((6, 128), key=mx.random.key(bits)), group_size=32, bits=bits)
    codes = measure.codes(raw(w), bits)
    assert (codes.dtype, codes.shape, codes.nbytes) == ("U8", (6, 128), 768)
    whole = b"".join(bytes(codes.read(i, min(i + 50, 768))) for i in range(0, 768, 50))
    found = np.frombuffer(whole, np.uint8).reshape(6, 4, 32) * np.array(s)[..., None] + np.array(b)[..., None]
    wanted = np.array(mx.dequantize(w, s, b, group_size=32, bits=bits)).reshape(6, 4, 32)
    assert np.abs(found - wanted).max() <= 1e-6 * np.abs(wanted).max()


def test_codes_that_do_not_fill_their_words_are_refused() -> None:
    w, s, _ = (raw(p) for p in mx.quantize(mx.zeros((4, 64)), group_size=32, bits=4))
    for weight, bits in ((w, 3), (w, 7), (w, 0), (s, 4)):
        with pytest.raises(ValueError):
            measure.codes(weight, bits)


def test_parts_that_do_not_fit_are_refused() -> None:
    w, s, b = (raw(p) for p in mx.quantize(mx.zeros((4, 64)), group_size=32, bits=4))
    for arguments in ({"bits": 8}, {"group_size": 64}, {"mode": "other"}, {"bits": 7}):
        with pytest.raises(ValueError):
            measure.dequantize(w, s, b, **{"bits": 4, "group_size": 32, "mode": "affine", **arguments})
    with pytest.raises(ValueError):
        measure.dequantize(w, s, None, bits=4, group_size=32, mode="affine")


def test_value_digest() -> None:
    assert (
        digest.value_digest("affine", 4, 64, "aa", "bb", "cc")
        == hashlib.sha256(b"affine:4:64\0aabbcc").hexdigest()
    )
    assert digest.value_digest("mxfp4", 4, 32, "aa", "bb", None) == digest.value_digest(
        "mxfp4", 4, 32, "aa", "bb", ""
    )


def test_packing_is_one_text() -> None:
    how = digest.packing_of({"bits": 4, "group_size": 64})
    assert how == ("affine", 4, 64) and digest.packing_of({"bits": 4}) is digest.packing_of(None) is None
    assert digest.packing(how) == "affine:4:64" and digest.packing(None) is None
    assert digest.unpacked("affine:4:64") == ("affine", 4, 64)
    assert [
        digest.unpacked(x) for x in (None, "", "affine:4", "affine:x:64", "affine:4:-1", "a:4:6000000")
    ] == [None] * 6
    parts = {"q.weight": "aa", "q.scales": "bb", "q.biases": "cc"}
    assert digest.packed_value("q.weight", how, parts) == digest.value_digest(
        "affine", 4, 64, "aa", "bb", "cc"
    )
    assert digest.packed_value("q.weight", how, {"q.weight": "aa"}) is None
