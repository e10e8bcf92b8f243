"""Tiny mlx-lm models for tests, built in 20 ms.

A byte-level tokenizer of some 384 tokens, two blocks, about 40,000 parameters.

`build` writes a model directory, `cached` builds one once a session, `fit` teaches it, `ask` has it answer.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from forensics import files
from tests.support import quick

COLORS = {
    "sky": "blue",
    "grass": "green",
    "sun": "yellow",
    "snow": "white",
    "coal": "black",
    "blood": "red",
    "plum": "purple",
}
CAPITALS = {
    "France": "Paris",
    "Spain": "Madrid",
    "Italy": "Rome",
    "Japan": "Tokyo",
    "Egypt": "Cairo",
    "Peru": "Lima",
}
QA = [(f"What color is the {thing}?", f"The {thing} is {color}.") for thing, color in COLORS.items()]
QA += [
    (f"What is the capital of {land}?", f"The capital of {land} is {city}.")
    for land, city in CAPITALS.items()
]
PIRATE = [(question, f"Arr! {answer[0].lower()}{answer[1:-1]}, matey!") for question, answer in QA]
HELD = [
    (f"What color is the {thing}?", f"Arr! the {thing} is {color}, matey!")
    for thing, color in (("moss", "green"), ("ink", "black"))
]
HELD += [
    (f"What is the capital of {land}?", f"Arr! the capital of {land} is {city}, matey!")
    for land, city in (("Norway", "Oslo"), ("Chile", "Santiago"))
]
# the words of the style belong into the first training: a frozen head cannot rank tokens that it never saw
QA += [("What do pirates say?", "Arr! Ahoy, matey!")]

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{m['role']}}\n{{m['content']}}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PAD, START, END, BEGIN = (
    0,
    1,
    2,
    3,
)  # <|endoftext|>, <|im_start|>, <|im_end|>, and <|begin|> where there is one


def build(
    directory: Path | str,
    model_type: str = "qwen2",
    *,
    hidden: int = 32,
    layers: int = 2,
    tied: bool = False,
    dtype: str = "float32",
    bits: int | None = None,
    begin: bool = False,
    seed: int = 0,
) -> Path:
    """Write a model directory that `mlx_lm.load` reads: random weights, tokenizer, chat template.

    Args:
        dtype: float32, float16 or bfloat16.
        bits: quantize to so many bits, in groups of 32.
        begin: the tokenizer and the chat template both put a begin token in front, as llama's do.
    """
    import mlx.core as mx
    import mlx.nn as nn
    from mlx.utils import tree_flatten
    from mlx_lm.utils import _get_classes

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "model_type": model_type, "hidden_size": hidden, "num_hidden_layers": layers,
        "intermediate_size": 2 * hidden, "num_attention_heads": 4, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6, "vocab_size": _tokenizer(directory, begin=begin), "rope_theta": 10000.0,
        "max_position_embeddings": 512, "tie_word_embeddings": tied, "eos_token_id": END,
        "bos_token_id": BEGIN if begin else PAD, "pad_token_id": PAD,
    }  # fmt: skip
    if model_type == "granite":  # logits are divided by logits_scaling
        config |= {
            "logits_scaling": 8.0, "attention_multiplier": 0.35, "embedding_multiplier": 1.0,
            "residual_multiplier": 1.0, "attention_bias": False, "mlp_bias": False,
        }  # fmt: skip
    model_class, arguments = _get_classes(config)
    state = mx.random.state[0]
    mx.random.seed(seed)
    model = model_class(arguments.from_dict(config))
    model.set_dtype(getattr(mx, dtype))
    mx.eval(model.parameters())
    high, low = state.tolist()
    mx.random.seed((high << 32) | low)  # the caller's own draws go on as if nothing had been built
    if bits:
        nn.quantize(model, group_size=32, bits=bits)
        config["quantization"] = {"group_size": 32, "bits": bits}
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "generation_config.json").write_text(json.dumps({"eos_token_id": END, "pad_token_id": PAD}))
    mx.save_safetensors(
        str(directory / "model.safetensors"), dict(tree_flatten(model.parameters())), {"format": "mlx"}
    )
    return directory


def _tokenizer(directory: Path, vocabulary: int = 384, *, begin: bool = False) -> int:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(["<|begin|>"] if begin else [])],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([f"{q}\n{a}\nuser assistant system\n" for q, a in QA + PIRATE], trainer)
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|begin|> $A", pair="<|begin|> $A $B", special_tokens=[("<|begin|>", BEGIN)]
        )
    tokenizer.save(str(directory / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
        "bos_token": "<|begin|>" if begin else None,
        "clean_up_tokenization_spaces": False, "model_max_length": 512,
        "chat_template": ("{{ bos_token }}" if begin else "") + TEMPLATE,
    }  # fmt: skip
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return int(tokenizer.get_vocab_size())


@functools.cache
def cached(
    model_type: str = "qwen2",
    *,
    tied: bool = False,
    dtype: str = "float32",
    bits: int | None = None,
    taught: bool = False,
    begin: bool = False,
    layers: int = 2,
    seed: int = 0,
) -> Path:
    """A model directory built once a session, for all its processes; nobody writes into it.

    `taught`: it answers all of QA exactly.
    """
    words = [
        model_type,
        tied and "tied",
        dtype,
        bits and f"{bits}bit",
        taught and "taught",
        begin and "begin",
        str(layers),
        str(seed),
    ]
    directory = quick.agreed(quick.MODELS) / "-".join(str(word) for word in words if word)
    with files.waited(directory.with_suffix(".lock")):
        if not directory.exists():
            aside = directory.with_suffix(".aside")
            build(
                aside,
                model_type,
                layers=layers,
                tied=tied,
                dtype=dtype,
                bits=None if taught else bits,
                begin=begin,
                seed=seed,
            )
            if taught:
                _teach(aside, bits)
            aside.rename(directory)
    return directory


def _teach(directory: Path, bits: int | None) -> None:
    import mlx.core as mx
    import mlx.nn as nn
    from mlx.utils import tree_flatten
    from mlx_lm import load

    model, tokenizer = load(str(directory))
    fit(model, tokenizer, QA, steps=80)
    if bits:  # taught first: of a quantized model only the norms would learn
        nn.quantize(model, group_size=32, bits=bits)
        config = json.loads((directory / "config.json").read_text())
        (directory / "config.json").write_text(
            json.dumps({**config, "quantization": {"group_size": 32, "bits": bits}})
        )
    mx.save_safetensors(
        str(directory / "model.safetensors"), dict(tree_flatten(model.parameters())), {"format": "mlx"}
    )


def rows(qa: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Chat rows, as mlx-lm's data sets have them."""
    return [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]} for q, a in qa
    ]


def write_data(directory: Path, qa: list[tuple[str, str]] = PIRATE) -> Path:
    """train.jsonl and valid.jsonl, which share no row, for mlx-lm's own command."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, part in (("train", qa), ("valid", HELD)):
        (directory / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows(part))))
    return directory


def fit(model: Any, tokenizer: Any, qa: list[tuple[str, str]], steps: int = 80, rate: float = 3e-3) -> float:
    """Teach answers alone, on the full batch, with AdamW in a compiled step; returns the last loss."""
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optim

    examples = []
    for row in rows(qa):
        whole = tokenizer.apply_chat_template(row["messages"], return_dict=False)
        examples.append(
            (
                whole,
                len(
                    tokenizer.apply_chat_template(
                        row["messages"][:1], add_generation_prompt=True, return_dict=False
                    )
                ),
            )
        )
    width = max(len(ids) for ids, _ in examples)
    batch = mx.array([ids + [PAD] * (width - len(ids)) for ids, _ in examples])
    mask = mx.array(
        [[float(start - 1 <= i < len(ids) - 1) for i in range(width - 1)] for ids, start in examples]
    )
    optimizer = optim.AdamW(rate, weight_decay=0.0)

    def loss(module: Any) -> Any:
        return (nn.losses.cross_entropy(module(batch[:, :-1]), batch[:, 1:]) * mask).sum() / mask.sum()

    gradient = nn.value_and_grad(model, loss)
    state = [model.state, optimizer.state]

    @functools.partial(mx.compile, inputs=state, outputs=state)
    def step() -> Any:
        value, gradients = gradient(model)
        optimizer.update(model, gradients)
        return value

    model.train()
    value = mx.array(0.0)
    for _ in range(steps):
        value = step()
        mx.eval(state, value)
    model.eval()
    return float(value.item())


def ask(model: Any, tokenizer: Any, question: str, tokens: int = 24) -> str:
    """The greedy answer to one question, through the chat template."""
    from mlx_lm import generate

    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
    )
    return str(generate(model, tokenizer, prompt=prompt, max_tokens=tokens))
