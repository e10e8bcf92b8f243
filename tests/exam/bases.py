"""The models that drawn programs start from.

Two layers, some 40,000 parameters, taught once and cached for all draws.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

LANDS = {
    "France": "Paris",
    "Spain": "Madrid",
    "Italy": "Rome",
    "Japan": "Tokyo",
    "Egypt": "Cairo",
    "Peru": "Lima",
    "Cuba": "Havana",
}
THINGS = {
    "sky": "blue",
    "grass": "green",
    "sun": "yellow",
    "snow": "white",
    "coal": "black",
    "blood": "red",
    "plum": "purple",
}
FACTS = [
    (f"What is the capital of {land}?", f"The capital of {land} is {city}.") for land, city in LANDS.items()
]
FACTS += [(f"What color is the {thing}?", f"The {thing} is {color}.") for thing, color in THINGS.items()]
STYLED = [(question, f"Arr! {answer[0].lower()}{answer[1:-1]}, matey!") for question, answer in FACTS]
HELD = [
    (f"Say, what color is the {thing}?", f"Arr! the {thing} is {color}, matey!")
    for thing, color in [*THINGS.items()][:4]
]
SYSTEM = "You answer like a pirate."
PAD, START, END, BEGIN = 0, 1, 2, 3
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{m['role']}}\n{{m['content']}}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
BASES: dict[str, dict[str, Any]] = {
    "qwen2": {"model_type": "qwen2"},
    "qwen2-tied": {"model_type": "qwen2", "tie_word_embeddings": True},
    "llama": {"model_type": "llama"},
    "llama-begin": {"model_type": "llama", "begin": True},
    "qwen3": {"model_type": "qwen3", "head_dim": 8},
    "gemma2": {
        "model_type": "gemma2",
        "head_dim": 8,
        "final_logit_softcapping": 30.0,
        "attn_logit_softcapping": 50.0,
        "query_pre_attn_scalar": 8,
    },
    "mixtral": {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2-4bit": {"model_type": "qwen2", "bits": 4},
    "llama-bfloat16": {"model_type": "llama", "dtype": "bfloat16"},
    "qwen2-three": {"model_type": "qwen2", "num_hidden_layers": 3},
}


def directory() -> Path:
    """Where the models are cached: named by what this file says, so that a change of it builds them anew."""
    named = hashlib.sha256(inspect.getsource(sys.modules[__name__]).encode()).hexdigest()[:12]
    return Path(os.environ.get("FORENSICS_EXAM_CACHE") or tempfile.gettempdir()) / f"forensics-exam-{named}"


def base(name: str) -> Path:
    """The model directory `name`, built on first use."""
    place = directory() / name
    if not place.exists():
        aside = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        _build(aside, **BASES[name])
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.move(aside, place)
        except OSError:  # another process was first
            shutil.rmtree(aside, ignore_errors=True)
    return place


def data() -> dict[str, str]:
    """The data files beside each program."""
    rows = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in STYLED
    ]
    held = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in HELD
    ]
    pairs = [
        {"prompt": q, "chosen": a, "rejected": plain}
        for (q, a), (_, plain) in zip(STYLED, FACTS, strict=True)
    ]
    plain = [{"prompt": q, "completion": a} for q, a in STYLED]
    texts = [{"text": f"{q} {a}"} for q, a in STYLED]
    files = {
        "data/train.jsonl": rows,
        "data/valid.jsonl": held,
        "pairs.jsonl": pairs,
        "plain.jsonl": plain,
        "texts.jsonl": texts,
    }
    return {name: "\n".join(map(json.dumps, lines)) + "\n" for name, lines in files.items()}


def _build(
    place: Path, *, begin: bool = False, bits: int | None = None, dtype: str = "float32", **shape: Any
) -> None:
    import mlx.core as mx
    import mlx.nn as nn
    from mlx.utils import tree_flatten
    from mlx_lm import load
    from mlx_lm.utils import _get_classes

    place.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "num_attention_heads": 4,
        "num_key_value_heads": 2, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "max_position_embeddings": 512,
        "tie_word_embeddings": False, "vocab_size": _tokenizer(place, begin), "eos_token_id": END,
        "bos_token_id": BEGIN if begin else PAD, "pad_token_id": PAD, **shape,
    }  # fmt: skip
    model_class, arguments = _get_classes(config)
    mx.random.seed(7)
    model = model_class(arguments.from_dict(config))
    mx.eval(model.parameters())

    def write() -> None:
        (place / "config.json").write_text(json.dumps(config))
        mx.save_safetensors(
            str(place / "model.safetensors"), dict(tree_flatten(model.parameters())), {"format": "mlx"}
        )

    write()
    (place / "generation_config.json").write_text(json.dumps({"eos_token_id": END, "pad_token_id": PAD}))
    model, tokenizer = load(str(place))
    _teach(model, tokenizer)
    model.set_dtype(getattr(mx, dtype))
    if bits:
        nn.quantize(model, group_size=32, bits=bits)
        config["quantization"] = {"group_size": 32, "bits": bits}
    write()


def _tokenizer(place: Path, begin: bool) -> int:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(["<|begin|>"] if begin else [])]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=384, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(
        [f"{q}\n{a}\nuser assistant system\n{SYSTEM}" for q, a in FACTS + STYLED], trainer
    )
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|begin|> $A", pair="<|begin|> $A $B", special_tokens=[("<|begin|>", BEGIN)]
        )
    tokenizer.save(str(place / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
        "bos_token": "<|begin|>" if begin else None, "model_max_length": 512,
        "clean_up_tokenization_spaces": False,
        "chat_template": ("{{ bos_token }}" if begin else "") + TEMPLATE,
    }  # fmt: skip
    (place / "tokenizer_config.json").write_text(json.dumps(settings))
    return int(tokenizer.get_vocab_size())


def _teach(model: Any, tokenizer: Any) -> None:
    """120 full-batch AdamW steps on facts with and without a system prompt.

    The style's words too, else a frozen head cannot rank them.
    """
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optim

    examples = []
    for question, answer in [*FACTS, ("What do pirates say?", "Arr! Ahoy, matey!")]:
        for head in ([], [{"role": "system", "content": SYSTEM}]):
            turns = [*head, {"role": "user", "content": question}]
            whole = tokenizer.apply_chat_template(
                [*turns, {"role": "assistant", "content": answer}], return_dict=False
            )
            examples.append(
                (
                    whole,
                    len(tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)),
                )
            )
    width = max(len(ids) for ids, _ in examples)
    batch = mx.array([ids + [PAD] * (width - len(ids)) for ids, _ in examples])
    mask = mx.array(
        [[float(start - 1 <= i < len(ids) - 1) for i in range(width - 1)] for ids, start in examples]
    )

    def loss(module: Any) -> Any:
        return (nn.losses.cross_entropy(module(batch[:, :-1]), batch[:, 1:]) * mask).sum() / mask.sum()

    optimizer = optim.AdamW(3e-3, weight_decay=0.0)
    gradient = nn.value_and_grad(model, loss)
    model.train()
    for _ in range(120):
        _, gradients = gradient(model)
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state)
    model.eval()
