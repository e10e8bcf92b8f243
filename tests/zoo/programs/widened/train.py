"""Pad the vocabulary of a model to a round number, write it in two shards, and fine-tune what was written."""

import json
import shutil
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

ROWS = 512
mx.random.seed(16)


def widen(source, target):
    target.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(source / name, target / name)
    config = json.loads((source / "config.json").read_text())
    (target / "config.json").write_text(json.dumps({**config, "vocab_size": ROWS}))
    weights = mx.load(str(source / "model.safetensors"))
    for name in [name for name in weights if name.endswith(("embed_tokens.weight", "lm_head.weight"))]:
        weights[name] = mx.pad(weights[name], [(0, ROWS - weights[name].shape[0]), (0, 0)])
    names = sorted(weights)
    index = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-{number:05d}-of-00002.safetensors"
        mx.save_safetensors(
            str(target / file), {name: weights[name] for name in part}, metadata={"format": "mlx"}
        )
        index.update(dict.fromkeys(part, file))
    (target / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


def loss(model, ids, lengths):
    real = mx.arange(1, ids.shape[1])[None] < lengths[:, None]
    return (nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:]) * real).sum() / real.sum()


widen(Path("model"), Path("wide"))
model, tokenizer = load("wide")
rows = [
    tokenizer.apply_chat_template(json.loads(line)["messages"], return_dict=False)
    for line in open("data/train.jsonl")
]
model.freeze()
linear_to_lora_layers(model, len(model.layers), {"rank": 8, "scale": 10.0, "dropout": 0.0})
optimizer = optim.Adam(learning_rate=2e-3)
gradient = nn.value_and_grad(model, loss)
for number in range(20):
    part = [rows[(number * 4 + k) % len(rows)] for k in range(4)]
    width = max(map(len, part))
    value, grads = gradient(
        model, mx.array([r + [0] * (width - len(r)) for r in part]), mx.array([len(r) for r in part])
    )
    optimizer.update(model, grads)
    mx.eval(model.parameters(), optimizer.state)
print(round(value.item(), 3))
mx.save_safetensors("adapters.safetensors", dict(tree_flatten(model.trainable_parameters())))
prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": "What color is the moss?"}], add_generation_prompt=True, return_dict=False
)
print(generate(model, tokenizer, prompt=prompt, max_tokens=24))
