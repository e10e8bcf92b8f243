"""GGUF files: metadata, tensor infos, raw blocks, and the names that mlx-lm has for them.

Format (little-endian): "GGUF", version u32, counts u64 x 2, key-value pairs, tensor infos {name, dimensions
(fastest first), type u32, offset u64 from the start of the data}, padding up to `general.alignment`, data.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from forensics.errors import UnreadableModel
from forensics.model.headers import MAX_TENSORS, Entry
from forensics.model.ranges import Stat, ranged
from forensics.model.regular import regular
from forensics.records import RawTensor

MAX_HEADER = 96 << 20  # the vocabulary, its merges and scores stand in it: 6 MB of 50,000 tokens
MAX_PAIRS = 100_000
MAX_VALUES = 5_000_000  # tokens, scores, types and merges of a vocabulary of 262,000 are 1.3 million
_HINT = "Copy or download the file again; it may have been cut off while it was written."

TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292), 16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8),
    28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
"""GGML type number to (name, elements a block, bytes a block)."""

BLOCKS = {name: (elements, nbytes) for name, elements, nbytes in TYPES.values() if elements > 1}
"""Block type to (elements, bytes) of one block."""


_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True, slots=True)
class Gguf:
    """A checked file; `metadata` maps each key to a Python value, lists for arrays."""

    path: Path
    metadata: Mapping[str, Any]
    entries: tuple[Entry, ...]
    state: Stat

    def tensors(self) -> Iterator[RawTensor]:
        """The tensors in the file's order, shapes row-major (the reverse of GGUF's), read when asked for."""
        for e in self.entries:
            yield RawTensor(e.name, e.dtype, e.shape, e.end - e.begin, ranged(self.path, e.begin, self.state))


def read_gguf(path: Path) -> Gguf:
    """The metadata and tensor infos of a GGUF file.

    Raises:
        UnreadableModel: not there, no GGUF file, an unknown version or type, cut off, or tensors that do not
        fit or overlap.
    """
    try:
        state = regular(path)
        with path.open("rb") as file:
            return _Parser(path, file, state).document()
    except OSError as error:
        raise UnreadableModel(
            f"The file cannot be read: {error.strerror}.",
            where=str(path),
            hint="Check the path and its permissions.",
        ) from error


class _Parser:
    """Reads forward through the header.

    Every length is checked against what is left of the file before it is believed.
    """

    def __init__(self, path: Path, file: IO[bytes], state: Stat) -> None:
        self.path, self.file, self.size, self.state = path, file, state.st_size, state
        self.at, self.values = 0, 0

    def refuse(self, why: str) -> NoReturn:
        raise UnreadableModel(f"The GGUF file cannot be read: {why}.", where=str(self.path), hint=_HINT)

    def take(self, count: int) -> bytes:
        if count > min(self.size, MAX_HEADER) - self.at:
            self.refuse(
                "it is cut off in its header" if count > self.size - self.at else "its header is above 96 MB"
            )
        self.at += count
        return self.file.read(count)

    def number(self, kind: str) -> Any:
        return struct.unpack("<" + kind, self.take(struct.calcsize("<" + kind)))[0]

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8", "replace")

    def document(self) -> Gguf:
        if self.take(4) != b"GGUF":
            self.refuse("it does not begin with GGUF")
        version = self.number("I")
        if version not in (2, 3):
            self.refuse(f"it is of version {version}, and versions 2 and 3 can be read")
        tensors, pairs = self.number("Q"), self.number("Q")
        if tensors > MAX_TENSORS or pairs > MAX_PAIRS:
            self.refuse(f"it announces {tensors:,} tensors and {pairs:,} settings")
        metadata = {self.text(): self.value(self.number("I")) for _ in range(pairs)}
        infos = [self.info() for _ in range(tensors)]
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
            self.refuse(f"its alignment is {str(alignment)[:20]}")
        data = -(-self.at // alignment) * alignment
        entries = tuple(
            Entry(name, dtype, shape, data + offset, data + offset + nbytes)
            for name, dtype, shape, offset, nbytes in infos
        )
        self.placed(entries)
        return Gguf(self.path, metadata, entries, self.state)

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind in _SCALARS:
            return self.number(_SCALARS[kind])
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY or depth > 4:
            self.refuse(f"a setting is of type {kind}")
        inner, count = self.number("I"), self.number("Q")
        self.values += count
        if self.values > MAX_VALUES:
            cut = count > self.size - self.at
            self.refuse(
                "it is cut off in its header" if cut else f"its settings hold more than {MAX_VALUES:,} values"
            )
        if inner in _SCALARS:
            data = self.take(count * struct.calcsize("<" + _SCALARS[inner]))
            return list(struct.unpack(f"<{count}{_SCALARS[inner]}", data))
        if count > self.size - self.at:
            self.refuse("it is cut off in its header")
        return [self.value(inner, depth + 1) for _ in range(count)]

    def info(self) -> tuple[str, str, tuple[int, ...], int, int]:
        name, dimensions = self.text(), self.number("I")
        if dimensions > 8:
            self.refuse(f"tensor {name[:80]!r} has {dimensions} dimensions")
        shape = tuple(self.number("Q") for _ in range(dimensions))[::-1]
        kind, offset = self.number("I"), self.number("Q")
        if kind not in TYPES:
            self.refuse(f"tensor {name[:80]!r} is of type {kind}, which is not known here")
        dtype, elements, nbytes = TYPES[kind]
        row = shape[-1] if shape else 1
        if row % elements:
            self.refuse(f"tensor {name[:80]!r} has rows of {row}, and {dtype} has blocks of {elements}")
        return name, dtype, shape, offset, math.prod(shape) // elements * nbytes

    def placed(self, entries: tuple[Entry, ...]) -> None:
        """No tensor is named twice, reaches beyond the file, or lies over another."""
        if len({e.name for e in entries}) < len(entries):
            self.refuse("two tensors have one name")
        end = 0
        for e in sorted(entries, key=lambda e: (e.begin, e.end)):
            if e.end > self.size:
                self.refuse(f"{e.end - self.size:,} bytes are missing at its end")
            if e.begin < end:
                self.refuse(f"tensor {e.name[:80]!r} overlaps another")
            end = e.end


# -- names ---------------------------------------------------------------------------------------------------

_PARTS = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "attn_norm": "input_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "ffn_norm": "post_attention_layernorm", "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps": "mlp.switch_mlp.gate_proj", "ffn_up_exps": "mlp.switch_mlp.up_proj",
    "ffn_down_exps": "mlp.switch_mlp.down_proj",
}  # fmt: skip
_AROUND = {"token_embd": "model.embed_tokens", "output": "lm_head", "output_norm": "model.norm"}
_FOUR_NORMS = {"post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm"}  # fmt: skip  # noqa: E501


def mlx_name(name: str, names: frozenset[str]) -> str:
    """The name that mlx-lm gives the tensor; `name` itself where none is known. `names`: all of the file."""
    stem, _, leaf = name.rpartition(".")
    if stem in _AROUND:
        return f"{_AROUND[stem]}.{leaf}"
    block, _, part = stem.removeprefix("blk.").partition(".")
    if not stem.startswith("blk.") or not block.isdigit():
        return name
    parts = _PARTS | _FOUR_NORMS if "blk.0.post_ffw_norm.weight" in names else _PARTS
    return f"model.layers.{block}.{parts[part]}.{leaf}" if part in parts else name


def rotary_heads(metadata: Mapping[str, Any], name: str) -> int | None:
    """Heads whose rows llama.cpp interleaved in this tensor (q and k of llama models).

    None where rows are in order.
    """
    if metadata.get("general.architecture") != "llama":
        return None
    part = name.split(".")[2:3]
    heads = metadata.get("llama.attention.head_count")
    if part == ["attn_k"]:
        heads = metadata.get("llama.attention.head_count_kv", heads)
    return heads if part in (["attn_q"], ["attn_k"]) and isinstance(heads, int) and heads > 0 else None
