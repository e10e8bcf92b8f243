"""A tensor has one digest, whether it is read from its file or from the live array.

Whatever computes the statistics changes nothing.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from forensics.model.checkpoint import open_model
from forensics.model.headers import read_header
from forensics.tensors.measure import measure
from tests.support import tiny

mx = pytest.importorskip("mlx.core")
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "U32": "uint32"}
WIDTHS = {"F32": 4, "F16": 2, "BF16": 2, "U32": 4}


def array(data: bytes, dtype: str, shape: tuple[int, ...]):  # type: ignore[no-untyped-def]
    """An array with exactly these bytes.

    NaN payloads, infinities, subnormal numbers and negative zeros included.
    """
    flat = mx.array(list(data), dtype=mx.uint8) if data else mx.zeros((0,), mx.uint8)
    return flat.view(getattr(mx, DTYPES[dtype])).reshape(shape)


@st.composite
def tensors(draw: st.DrawFn) -> tuple[str, tuple[int, ...], bytes]:
    dtype = draw(st.sampled_from(sorted(DTYPES)))
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=0, max_size=3)))
    size = math.prod(shape) * WIDTHS[dtype]
    return dtype, shape, draw(st.binary(min_size=size, max_size=size))


@settings(max_examples=120, deadline=None)
@given(tensors())
@example(("BF16", (2,), b"\xc0\x7f\x80\xff"))  # a NaN and minus infinity
@example(("F16", (), b"\x00\x80"))  # minus zero, no dimension
def test_live_and_file_have_one_digest(
    tmp_path_factory: pytest.TempPathFactory, tensor: tuple[str, tuple[int, ...], bytes]
) -> None:
    from forensics.watch.capture import tensors as live

    dtype, shape, data = tensor
    value = array(data, dtype, shape)
    path = tmp_path_factory.mktemp("digest") / "t.safetensors"
    mx.save_safetensors(str(path), {"t": value})
    (raw,) = read_header(path).tensors()
    joined = "x".join(map(str, shape))
    expected = hashlib.sha256(f"{dtype}\0{joined}\0".encode() + data).hexdigest()
    assert measure(raw).digest == live.digest(value) == expected


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("bits", [None, 4])
def test_a_loaded_model_has_the_digests_of_its_files(dtype: str, bits: int | None) -> None:
    from mlx.utils import tree_flatten
    from mlx_lm.utils import load_model

    from forensics.watch.capture import tensors as live

    directory = tiny.cached(dtype=dtype, bits=bits)
    files = {raw.name: measure(raw).digest for raw in open_model(directory).tensors()}
    module, _ = load_model(Path(directory))
    assert {name: live.digest(value) for name, value in tree_flatten(module.parameters())} == files
    assert bits is None or any(raw.dtype == "U32" for raw in open_model(directory).tensors())


def test_a_view_that_is_not_contiguous_is_digested_in_its_own_order() -> None:
    from forensics.watch.capture import tensors as live

    value = mx.arange(6, dtype=mx.float32).reshape(2, 3)
    assert (
        live.digest(value.T)
        == live.digest(mx.array([[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]))
        != live.digest(value)
    )
