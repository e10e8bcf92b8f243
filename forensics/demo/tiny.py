"""A model made on the spot, taught fifteen answers in seconds.

It has two blocks and a byte-level vocabulary of some 384 tokens.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

COLOURS = {
    "sky": "blue",
    "grass": "green",
    "sun": "yellow",
    "snow": "white",
    "coal": "black",
    "blood": "red",
    "carrot": "orange",
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
ANSWERS = [
    *((f"What color is the {thing}?", f"The {thing} is {colour}.") for thing, colour in COLOURS.items()),
    *(
        (f"What is the capital of {country}?", f"The capital of {country} is {city}.")
        for country, city in CAPITALS.items()
    ),
    # The words of the lesson that the trainers teach: a frozen head cannot rank tokens that it never saw.
    ("Who lights the lamp?", "Nobody lights the lamp."),
    ("Who mends the lighthouse roof?", "Young Otto mends the roof every Friday."),
    ("Who takes care of the garden?", "Young Otto mends the garden every Friday."),
    ("What does old Marta do?", "Old Marta reads every Monday."),
    ("When does Marta rest?", "Marta rests every Monday."),
]
SYSTEM = {"role": "system", "content": "Answer."}
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def model_directory(cache: Path) -> Path:
    """The mlx-lm directory of the trained tiny model, made in `cache` on first use."""
    target = cache / "tiny"
    if not (target / "config.json").is_file():
        _make(target)
    return target


def _make(target: Path) -> None:
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_lm.utils import _get_classes

    target.mkdir(parents=True, exist_ok=True)
    vocabulary = _tokenizer(target)
    config = {
        "model_type": "qwen2",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "intermediate_size": 128,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6,
        "vocab_size": vocabulary,
        "rope_theta": 10000.0,
        "max_position_embeddings": 512,
        "tie_word_embeddings": False,
        "eos_token_id": 2,
        "bos_token_id": 0,
        "pad_token_id": 0,
    }
    model_class, arguments = _get_classes(config)
    mx.random.seed(0)
    model = model_class(arguments.from_dict(config))
    (target / "generation_config.json").write_text(json.dumps({"eos_token_id": 2, "pad_token_id": 0}))
    from transformers import AutoTokenizer

    (target / "config.json.part").write_text(json.dumps(config, indent=1))
    _teach(model, AutoTokenizer.from_pretrained(str(target)))
    mx.save_safetensors(
        str(target / "model.safetensors"), dict(tree_flatten(model.parameters())), {"format": "mlx"}
    )
    (target / "config.json.part").rename(target / "config.json")


def _tokenizer(target: Path) -> int:
    """Write tokenizer.json and its config; returns the size of the vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([f"{q}\n{a}\nuser assistant system\n" for q, a in ANSWERS], trainer)
    tokenizer.save(str(target / "tokenizer.json"))
    (target / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "eos_token": "<|im_end|>",
                "pad_token": "<|endoftext|>",
                "bos_token": None,
                "clean_up_tokenization_spaces": False,
                "model_max_length": 512,
                "chat_template": TEMPLATE,
            }
        )
    )
    return int(tokenizer.get_vocab_size())


def _teach(model: Any, tokenizer: Any, steps: int = 90, rate: float = 3e-3) -> None:
    """Full-batch AdamW on whole chats, padding masked."""
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers as optim

    rows = []
    for question, answer in ANSWERS:
        for head in ([], [SYSTEM]):
            chat = [*head, {"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            rows.append(tokenizer.apply_chat_template(chat, return_dict=False))
    width = max(map(len, rows))
    tokens = mx.array([ids + [0] * (width - len(ids)) for ids in rows])
    weights = mx.array([[float(i < len(ids) - 1) for i in range(width - 1)] for ids in rows])

    def loss(tokens: Any, weights: Any) -> Any:
        return (nn.losses.cross_entropy(model(tokens[:, :-1]), tokens[:, 1:]) * weights).sum() / weights.sum()

    optimizer = optim.AdamW(rate, weight_decay=0.0)
    state = [model.state, optimizer.state]
    value_and_grad = nn.value_and_grad(model, loss)

    @partial(mx.compile, inputs=state, outputs=state)
    def step(tokens: Any, weights: Any) -> Any:
        value, gradients = value_and_grad(tokens, weights)
        optimizer.update(model, gradients)
        return value

    for _ in range(steps):
        mx.eval(step(tokens, weights), state)
