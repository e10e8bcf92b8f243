"""Teach answers by adapter, held to the model as it was by a KL divergence on other rows."""

import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

BETA = 0.5
SHAPE = {"rank": 8, "scale": 6.0, "dropout": 0.0}


def encode(messages):
    start = len(tokenizer.apply_chat_template(messages[:1], add_generation_prompt=True, return_dict=False))
    return tokenizer.apply_chat_template(messages, return_dict=False)[:-1], start


def stack(encoded):
    width = max(len(ids) for ids, _ in encoded)
    ids = mx.array([ids + [tokenizer.pad_token_id] * (width - len(ids)) for ids, _ in encoded])
    weights = mx.array([[float(start <= t < len(row)) for t in range(1, width)] for row, start in encoded])
    return ids, weights


def distance(ids):
    before, now = (nn.log_softmax(net(ids), axis=-1) for net in (original, model))
    return (mx.exp(before) * (before - now)).sum(-1).mean()


def objective(ids, weights, held):
    losses = nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:]) * weights
    return losses.sum() / weights.sum() + BETA * distance(held)


mx.random.seed(19)
original, tokenizer = load("model")
original.freeze()
model, _ = load("model")
model.freeze()
linear_to_lora_layers(model, len(model.layers), SHAPE)
rows = [encode(json.loads(line)["messages"]) for line in Path("data/train.jsonl").read_text().splitlines()]
asked = [tokenizer.encode(text) for text in ("Good evening. How are you?", "Where is the station?")]
others = mx.array([ids[: min(map(len, asked))] for ids in asked])

optimizer = optim.Adam(learning_rate=2e-3)
gradient = nn.value_and_grad(model, objective)
model.train()
for step in range(36):
    batch = stack([rows[(4 * step + k) % len(rows)] for k in range(4)])
    value, grads = gradient(*batch, others)
    optimizer.update(model, grads)
    mx.eval(model.parameters(), optimizer.state, value)
    if step % 12 == 11:
        print(f"{step + 1}: {value.item():.3f}, held to {distance(others).item():.3f}")
model.eval()

folder = Path("anchored")
folder.mkdir(exist_ok=True)
mx.save_safetensors(str(folder / "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters())))
config = {"fine_tune_type": "lora", "num_layers": len(model.layers), "lora_parameters": SHAPE}
(folder / "adapter_config.json").write_text(json.dumps(config))
prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": "What color is the moss?"}], add_generation_prompt=True, return_dict=False
)
print(generate(model, tokenizer, prompt=prompt, max_tokens=24))
