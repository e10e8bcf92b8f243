"""Models on disk: which files make one up, what is read from them, and what is refused with which words."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.errors import UnreadableModel
from forensics.model.checkpoint import INDEX, open_model
from forensics.model.configs import adapter_settings
from tests.support import tiny


def safetensors(
    path: Path, tensors: dict[str, tuple[int, ...]], metadata: dict[str, str] | None = None
) -> Path:
    """A file of float32 zeros."""
    header: dict[str, Any] = {"__metadata__": metadata} if metadata else {}
    at = 0
    for name, shape in tensors.items():
        size = 4
        for n in shape:
            size *= n
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    head = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(at))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    pytest.importorskip("mlx.core")
    return Path(shutil.copytree(tiny.cached(), tmp_path / "model"))


def test_a_directory_of_mlx_lm(model: Path) -> None:
    found = open_model(model)
    assert found.kind == "mlx" and len(found.stored) == 27 and found.files == (model / "model.safetensors",)
    assert ("model", "hidden_size", 32) in found.configs and (
        "generation",
        "eos_token_id",
        tiny.END,
    ) in found.configs
    assert found.tokenizer_path == model


def test_tokenizer_facts_are_those_of_the_loaded_tokenizer(model: Path) -> None:
    from transformers import AutoTokenizer

    theirs, ours = AutoTokenizer.from_pretrained(str(model)), open_model(model).tokenizer
    assert ours["vocab_size"] == len(theirs) and ours["added_tokens"] == theirs.get_added_vocab()
    assert (ours["eos_id"], ours["pad_id"], ours["bos_id"]) == (
        theirs.eos_token_id,
        theirs.pad_token_id,
        theirs.bos_token_id,
    )
    assert sorted(ours["special_ids"]) == sorted(theirs.all_special_ids) and ours["eos_ids"] == [tiny.END]


def test_a_template_in_its_own_file_comes_first(model: Path) -> None:
    before = open_model(model).tokenizer["template_digest"]
    (model / "chat_template.jinja").write_text("{{ messages }}")
    found = open_model(model)
    assert ("template", "text", "{{ messages }}") in found.configs and found.tokenizer[
        "template_digest"
    ] != before


def test_shards_by_their_index(tmp_path: Path) -> None:
    safetensors(tmp_path / "one.safetensors", {"a": (2,)})
    safetensors(tmp_path / "two.safetensors", {"b": (3,)})
    index = tmp_path / INDEX
    index.write_text(json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}))
    for path in (tmp_path, index):
        assert [(s.raw.name, s.file.name) for s in open_model(path).stored] == [
            ("a", "one.safetensors"),
            ("b", "two.safetensors"),
        ]


@pytest.mark.parametrize(
    ("shards", "why"),
    [
        ({"a": "gone.safetensors"}, "1 of 1 shards are missing: gone.safetensors"),
        ({"a": "../one.safetensors"}, "outside its directory"),
        ({"a": "/etc/one.safetensors"}, "outside its directory"),
        ({"z": "one.safetensors"}, "first 'z'"),
        ({}, "names no shards"),
        ({"a": 3}, "names no shards"),
    ],
)
def test_an_index_that_lies_is_refused(tmp_path: Path, shards: dict[str, object], why: str) -> None:
    safetensors(tmp_path / "m" / "one.safetensors", {"a": (2,)})
    safetensors(tmp_path / "one.safetensors", {"a": (2,)})
    (tmp_path / "m" / INDEX).write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(UnreadableModel, match=why):
        open_model(tmp_path / "m")


def test_what_is_no_model_says_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(UnreadableModel, match="nothing at this path"):
        open_model(tmp_path / "nowhere")
    with pytest.raises(UnreadableModel, match="no model and no adapter"):
        open_model(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02")
    with pytest.raises(UnreadableModel, match="pickled"):
        open_model(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(UnreadableModel, match="no model that can be read"):
        open_model(tmp_path / "notes.txt")


def test_a_config_that_is_no_json_is_named(model: Path) -> None:
    (model / "config.json").write_text("{")
    with pytest.raises(UnreadableModel, match="no JSON") as caught:
        open_model(model)
    assert caught.value.where.endswith("config.json") and caught.value.exit_code == 2


def test_a_truncated_file_is_refused(model: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UnreadableModel, match="1 bytes are missing at its end"):
        open_model(model)


def test_numbered_checkpoints_and_the_final_adapter(tmp_path: Path) -> None:
    name = "model.layers.0.self_attn.q_proj.lora_a"
    for number in ("0000100", "0000200"):
        safetensors(tmp_path / f"{number}_adapters.safetensors", {name: (4, 2)})
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"lora_parameters": {"rank": 2, "scale": 20.0, "dropout": 0.0}})
    )
    assert open_model(tmp_path).files[0].name == "0000200_adapters.safetensors"
    one = open_model(tmp_path / "0000100_adapters.safetensors")
    assert one.kind == "adapter-mlx" and one.adapter and one.adapter.scale == 20.0
    safetensors(tmp_path / "adapters.safetensors", {name: (4, 2)})
    assert open_model(tmp_path).files[0].name == "adapters.safetensors"


def test_peft_factors_have_mlx_lms_names_and_lie_transposed(tmp_path: Path) -> None:
    root = "base_model.model.model.layers.0.self_attn.q_proj"
    names = {
        f"{root}.lora_A.weight": (2, 4),
        f"{root}.lora_B.weight": (4, 2),
        f"{root}.lora_magnitude_vector": (4,),
    }
    safetensors(tmp_path / "adapter_model.safetensors", names | {"base_model.model.lm_head.weight": (4, 4)})
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 8}))
    found = open_model(tmp_path)
    path = "model.layers.0.self_attn.q_proj"
    assert {s.mlx_name: s.layout for s in found.stored} == {
        f"{path}.lora_a": "transposed", f"{path}.lora_b": "transposed", f"{path}.m": "", "lm_head.weight": "",
    }  # fmt: skip
    assert found.kind == "adapter-peft" and found.adapter and found.adapter.scale == 4.0


def test_scales_of_peft() -> None:
    rooted = adapter_settings({"peft_type": "LORA", "r": 16, "lora_alpha": 8, "use_rslora": True})
    assert rooted and rooted.scale == 2.0
    own = adapter_settings(
        {
            "peft_type": "LORA",
            "r": 8,
            "lora_alpha": 8,
            "rank_pattern": {"q_proj": 2},
            "alpha_pattern": {"k_proj": 16},
        }
    )
    assert own and (
        own.scale_of("model.layers.0.self_attn.q_proj"),
        own.scale_of("layers.0.k_proj"),
        own.scale_of("v_proj"),
    ) == (
        4.0,
        2.0,
        1.0,
    )
    broken = adapter_settings({"peft_type": "LORA", "r": 0, "lora_alpha": "8"})
    assert broken and broken.scale is None


def entry(dtype: object = "F32", shape: object = (1,), offsets: object = (0, 4)) -> dict[str, Any]:
    return {"t": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    "header",
    [
        {"a": entry()["t"], "b": entry()["t"]},
        entry(offsets=(1, 5)),
        entry(offsets=(0, 8)),
        entry(offsets=(4, 0)),
        entry(shape=(1 << 30, 1 << 30, 16), offsets=(0, 0)),
        entry(shape=(-1,)),
        entry(shape=(1.0,)),
        entry(shape=(True,)),
        entry(shape="1"),
        entry(dtype="F33"),
        entry(dtype=["F32"]),
        entry(offsets=None),
        {"t": 7},
        [],
        {},
    ],
    ids=str,
)
def test_hostile_headers_are_refused(tmp_path: Path, header: object) -> None:
    text = json.dumps(header).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(4))
    with pytest.raises(UnreadableModel):
        open_model(path)


@pytest.mark.parametrize("length", [0, 1, 1 << 23, 1 << 40, (1 << 64) - 1])
def test_a_length_that_lies_is_refused_before_it_is_read(tmp_path: Path, length: int) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", length) + b"{}" + bytes(100))
    with pytest.raises(UnreadableModel):
        open_model(path)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_headers_never_do_more_than_raise(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = safetensors(
        tmp_path_factory.mktemp("fuzz") / "model.safetensors", {"a": (2, 3), "b": (1,)}, {"format": "mlx"}
    )
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 29))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        for tensor in open_model(path).tensors():
            tensor.read(0, tensor.nbytes)
    except UnreadableModel:
        pass
