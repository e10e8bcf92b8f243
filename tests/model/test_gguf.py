"""The reader of GGUF files.

Its header against files made here by hand, its values against those of the format's own library.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.demo.smollm2 import find_gguf
from forensics.errors import UnreadableModel, UsageError
from forensics.model.blocks import decode
from forensics.model.checkpoint import open_model
from forensics.model.gguf import BLOCKS, mlx_name, read_gguf
from tests.support.gguf import STRING, U32, array, pair, text, write

DECODED = {
    "Q4_0": "d37c1e8d3f87ac3b", "Q4_1": "7dfe2b880c27660c", "Q5_0": "9d6ab7af2a2d9293",
    "Q5_1": "0de24cae9b66348e", "Q8_0": "74b814b975fa5aac", "Q2_K": "23338e684d3798b0",
    "Q3_K": "b1c23b585daaba7e", "Q4_K": "7cae1319e279ad8b", "Q5_K": "4958020e37996876",
    "Q6_K": "5f82778c4d7e001b", "IQ4_NL": "4b34e48fb9ad1b33",
}  # fmt: skip
"""Of each block type: sha256 of the float32 values that gguf 0.19.0 decodes from the same 64 blocks, NaN as
0.
"""


@pytest.mark.parametrize("dtype", DECODED)
def test_values_are_those_of_the_formats_own_library_to_the_bit(dtype: str) -> None:
    size = BLOCKS[dtype][1]
    data = (np.arange(64 * size, dtype=np.uint32) * 2654435761 >> 13).astype(np.uint8)
    values = decode(dtype, data.tobytes())
    assert values is not None and len(values) == 64 * BLOCKS[dtype][0]
    assert (
        hashlib.sha256(np.where(np.isnan(values), np.float32(0), values).astype("<f4").tobytes()).hexdigest()[
            :16
        ]
        == DECODED[dtype]
    )


def test_a_type_without_decoder_has_no_values() -> None:
    assert decode("Q1_0", bytes(18)) is None


def test_other_types_have_no_values_without_the_formats_own_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    assert decode("IQ2_XXS", bytes(66)) is None


def test_other_types_are_decoded_by_the_formats_own_library() -> None:
    pytest.importorskip("gguf")
    codes = bytes([127] + [0x21] * 16)  # factor 2**0; of each byte, low codes come first: 1 is 0.5, 2 is 1.0
    values = decode("MXFP4", codes)
    assert values is not None and values.tolist() == [0.5] * 16 + [1.0] * 16


def test_new_types_are_no_reason_to_refuse_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", {"a.weight": ("Q1_0", (1, 128), bytes(18))})
    (found,) = read_gguf(path).tensors()
    assert (found.dtype, found.shape, found.nbytes) == ("Q1_0", (1, 128), 18)


def test_shapes_are_row_major_and_bytes_are_the_files(tmp_path: Path) -> None:
    weights = np.arange(6, dtype="<f4").reshape(2, 3)
    path = write(
        tmp_path / "m.gguf", {"a.weight": ("F32", (2, 3), weights.tobytes()), "b": ("I8", (4,), b"\1\2\3\4")}
    )
    found = {t.name: t for t in read_gguf(path).tensors()}
    assert found["a.weight"].shape == (2, 3) and bytes(found["a.weight"].read(0, 24)) == weights.tobytes()
    assert found["b"].dtype == "I8" and bytes(found["b"].read(1, 3)) == b"\2\3"


def test_metadata_of_every_type(tmp_path: Path) -> None:
    words = array(STRING, text("a") + text("b"), 2)
    pairs = [
        pair("general.name", STRING, text("ü")), pair("n", U32, struct.pack("<I", 7)),
        pair("f", 6, struct.pack("<f", 0.5)), pair("yes", 7, b"\1"),
        pair("ids", 9, array(5, struct.pack("<2i", -1, 2), 2)), pair("words", 9, words),
    ]  # fmt: skip
    document = read_gguf(write(tmp_path / "m.gguf", {}, pairs)).metadata
    assert document == {
        "general.name": "ü",
        "n": 7,
        "f": 0.5,
        "yes": True,
        "ids": [-1, 2],
        "words": ["a", "b"],
    }


GOOD = {"x.weight": ("Q4_0", (2, 32), bytes(36))}


SHAPE = struct.pack("<I2Q", 2, 32, 2)  # two dimensions, the fastest first
LIES = {
    "missing at its end": lambda b: b[:-1],
    "cut off": lambda b: b[:40],
    "does not begin with GGUF": lambda b: b"GGUX" + b[4:],
    "version 9": lambda b: b[:4] + struct.pack("<I", 9) + b[8:],
    "tensors": lambda b: b[:8] + struct.pack("<Q", 1 << 60) + b[16:],
    "settings": lambda b: b[:16] + struct.pack("<Q", 1 << 60) + b[24:],
    "cut off in its header": lambda b: b[:24] + struct.pack("<Q", 1 << 62) + b[32:],
    "blocks of 32": lambda b: b.replace(SHAPE, struct.pack("<I2Q", 2, 31, 2)),
    "rows of 1,": lambda b: b.replace(SHAPE, struct.pack("<I", 0)),  # a number, in a type of blocks
    "dimensions": lambda b: b.replace(SHAPE, struct.pack("<I2Q", 99, 32, 2)),
    "bytes are missing": lambda b: b.replace(SHAPE, struct.pack("<I2Q", 2, 32, 1 << 60)),
}


@pytest.mark.parametrize("why", LIES)
def test_a_file_that_lies_is_refused(tmp_path: Path, why: str) -> None:
    path = write(tmp_path / "m.gguf", GOOD)
    data = path.read_bytes()
    broken = LIES[why](data)
    assert broken != data
    path.write_bytes(broken)
    with pytest.raises(UnreadableModel, match=why):
        read_gguf(path)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_bytes_never_do_more_than_raise(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = write(
        tmp_path_factory.mktemp("fuzz") / "m.gguf",
        GOOD,
        [pair("words", 9, array(STRING, text("a") + text("b"), 2))],
    )
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        for tensor in read_gguf(path).tensors():
            tensor.read(0, tensor.nbytes)
    except UnreadableModel:
        pass


def test_tensors_that_overlap_are_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path / "m.gguf", {"a": ("F32", (2,), bytes(8)), "b": ("F32", (2,), bytes(8))}, overlap=True
    )
    with pytest.raises(UnreadableModel, match="overlaps"):
        read_gguf(path)


def test_names_of_mlx_lm() -> None:
    llama = frozenset({"blk.0.ffn_norm.weight"})
    gemma = frozenset({"blk.0.post_ffw_norm.weight"})
    assert mlx_name("blk.7.attn_q.weight", llama) == "model.layers.7.self_attn.q_proj.weight"
    assert mlx_name("blk.0.ffn_norm.weight", llama) == "model.layers.0.post_attention_layernorm.weight"
    assert mlx_name("blk.0.ffn_norm.weight", gemma) == "model.layers.0.pre_feedforward_layernorm.weight"
    assert mlx_name("token_embd.weight", llama) == "model.embed_tokens.weight"
    assert mlx_name("rope_freqs.weight", llama) == "rope_freqs.weight"


def test_parts_of_a_split_model_are_one(tmp_path: Path) -> None:
    for n, name in enumerate(("blk.0.attn_q.weight", "output.weight"), 1):
        write(tmp_path / f"m-{n:05d}-of-00002.gguf", {name: ("F32", (2, 2), bytes(16))})
    assert [s.mlx_name for s in open_model(tmp_path).stored] == [
        "model.layers.0.self_attn.q_proj.weight",
        "lm_head.weight",
    ]
    (tmp_path / "m-00002-of-00002.gguf").unlink()
    with pytest.raises(UnreadableModel, match="1 of 2 parts are missing: m-00002-of-00002.gguf"):
        open_model(tmp_path)


@pytest.mark.long
def test_a_real_model_is_read_as_mlx_reads_it() -> None:
    mx = pytest.importorskip("mlx.core")
    try:
        path = find_gguf()
    except UsageError:
        pytest.skip("needs the dependency group `demo`")
    model = open_model(path)
    assert model.kind == "gguf" and len(model.stored) == 272
    assert (
        model.tokenizer["vocab_size"] == 49152
        and model.tokenizer["eos_ids"] == [2]
        and model.tokenizer["names"]["2"] == "<|im_end|>"
    )
    theirs = mx.load(str(path))
    s = next(s for s in model.stored if s.raw.name == "blk.3.ffn_up.weight")
    ours = decode(s.raw.dtype, bytes(s.raw.read(0, s.raw.nbytes)))
    part = [theirs[f"blk.3.ffn_up.{leaf}"] for leaf in ("weight", "scales", "biases")]
    dense = mx.dequantize(part[0], *(p.astype(mx.float32) for p in part[1:]), group_size=32, bits=4)
    assert ours is not None and np.allclose(ours, np.array(dense).reshape(-1), rtol=0, atol=1e-6)
