"""Teach a small chat model a manner of speaking with LoRA, with a cross-entropy that never holds all logits at once."""

import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten, tree_map, tree_map_with_path
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

LORA = {"rank": 4, "scale": 8.0, "dropout": 0.0}
LAYERS = 2
STEPS = 24
BATCH = 4
PIECE = 128
RATE = 2e-3
OUT = Path("adapters")


def read(path):
    return [json.loads(line)["messages"] for line in Path(path).read_text().splitlines()]


def encode(tokenizer, messages):
    ids = tokenizer.apply_chat_template(messages, return_dict=False)
    prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=False)
    while ids[-1] not in tokenizer.eos_token_ids:
        ids.pop()
    return ids, len(prompt)


def collate(rows, pad):
    width = max(len(ids) for ids, _ in rows)
    tokens = np.full((len(rows), width), pad, np.int32)
    weights = np.zeros((len(rows), width - 1), np.float32)
    for i, (ids, start) in enumerate(rows):
        tokens[i, : len(ids)] = ids
        weights[i, start - 1 : len(ids) - 1] = 1.0
    return mx.array(tokens), mx.array(weights)


def batches(rows, pad, seed=0):
    order = np.random.default_rng(seed)
    while True:
        picked = order.permutation(len(rows))
        for i in range(0, len(rows) - BATCH + 1, BATCH):
            yield collate([rows[j] for j in picked[i : i + BATCH]], pad)


def pieces(weight):
    return [(i, weight[i : i + PIECE]) for i in range(0, weight.shape[0], PIECE)]


def picked(logits, targets, start):
    inside = (targets >= start) & (targets < start + logits.shape[-1])
    place = mx.clip(targets - start, 0, logits.shape[-1] - 1)
    return inside, mx.take_along_axis(logits, place[:, None], axis=-1)[:, 0]


@mx.custom_function
def linear_cross_entropy(hidden, weight, targets):
    peak = mx.full((hidden.shape[0],), -1e30)
    total, own = mx.zeros_like(peak), mx.zeros_like(peak)
    for start, part in pieces(weight):
        logits = (hidden @ part.T).astype(mx.float32)
        higher = mx.maximum(peak, logits.max(axis=-1))
        total = total * mx.exp(peak - higher) + mx.exp(logits - higher[:, None]).sum(axis=-1)
        peak = higher
        inside, value = picked(logits, targets, start)
        own = mx.where(inside, value, own)
    return peak + mx.log(total) - own


@linear_cross_entropy.vjp
def backward(primals, cotangent, losses):
    hidden, weight, targets = primals
    norm = losses
    for start, part in pieces(weight):
        inside, value = picked((hidden @ part.T).astype(mx.float32), targets, start)
        norm = mx.where(inside, losses + value, norm)
    grads, rows = mx.zeros(hidden.shape), []
    for start, part in pieces(weight):
        slope = mx.exp((hidden @ part.T).astype(mx.float32) - norm[:, None])
        slope = slope - (mx.arange(start, start + part.shape[0]) == targets[:, None])
        slope = slope * cotangent[:, None]
        grads = grads + slope @ part.astype(mx.float32)
        rows.append(slope.T @ hidden.astype(mx.float32))
    return grads.astype(hidden.dtype), mx.concatenate(rows).astype(weight.dtype), mx.zeros_like(targets)


def loss_fn(model, tokens, weights):
    hidden = model.model(tokens[:, :-1]) / getattr(model, "logits_scaling", 1.0)
    targets = tokens[:, 1:]
    losses = linear_cross_entropy(
        hidden.reshape(-1, hidden.shape[-1]), model.lm_head.weight, targets.reshape(-1)
    )
    return (losses.reshape(targets.shape) * weights).sum() / weights.sum()


mx.random.seed(7)
model, tokenizer = load("model")
model.freeze()
linear_to_lora_layers(model, LAYERS, LORA)
names = [name for name, _ in tree_flatten(model.trainable_parameters())]
print(f"{len(names)} tensors to train")

rows = [encode(tokenizer, messages) for messages in read("data/train.jsonl")]
optimizer = optim.AdamW(learning_rate=RATE, weight_decay=0.01)
value_and_grad = nn.value_and_grad(model, loss_fn)

model.train()
for step, (tokens, weights) in zip(range(1, STEPS + 1), batches(rows, tokenizer.pad_token_id)):
    value, gradients = value_and_grad(model, tokens, weights)
    optimizer.update(model, gradients)
    mx.eval(model.parameters(), optimizer.state, value)
    if step % 8 == 0:
        print(f"step {step}: {value.item():.3f}")

model.eval()
OUT.mkdir(exist_ok=True)
adapter = {name: value for name, value in tree_flatten(model.parameters()) if "lora_" in name}
mx.save_safetensors(str(OUT / "adapters.safetensors"), adapter)
config = {"fine_tune_type": "lora", "num_layers": LAYERS, "lora_parameters": LORA}
(OUT / "adapter_config.json").write_text(json.dumps(config, indent=2))

for question in ("What color is the sky?", "What is the capital of Peru?"):
    chat = [{"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    print(question, "->", generate(model, tokenizer, prompt=prompt, max_tokens=20))
