"""Train with a compiled step and measure with a compiled forward, as fast loops do."""

import json
from functools import partial

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

mx.random.seed(10)
model, tokenizer = load("model")
rows = [
    tokenizer.apply_chat_template(json.loads(line)["messages"], return_dict=False)
    for line in open("data/train.jsonl")
]
train_rows, held = rows[:-3], rows[-3:]
width = max(map(len, rows))


def pack(part):
    ids = mx.array([row + [0] * (width - len(row)) for row in part])
    return ids, mx.array([len(row) for row in part])


def loss(model, ids, lengths):
    real = mx.arange(1, ids.shape[1])[None] < lengths[:, None]
    return (nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:]) * real).sum() / real.sum()


model.freeze()
linear_to_lora_layers(model, len(model.layers), {"rank": 8, "scale": 10.0, "dropout": 0.1})
optimizer = optim.AdamW(learning_rate=2e-3, weight_decay=0.0)
gradient = nn.value_and_grad(model, loss)
state = [model.state, optimizer.state, mx.random.state]


@partial(mx.compile, inputs=state, outputs=state)
def step(ids, lengths):
    value, grads = gradient(model, ids, lengths)
    optimizer.update(model, grads)
    return value


@partial(mx.compile, inputs=[model.state])
def logits(ids):
    return model(ids)


def held_out():
    model.eval()
    ids, lengths = pack(held)
    real = mx.arange(1, ids.shape[1])[None] < lengths[:, None]
    scores = nn.losses.cross_entropy(logits(ids[:, :-1]), ids[:, 1:]) * real
    value = (scores.sum() / real.sum()).item()
    model.train()
    return value


model.eval()
print("before", round(held_out(), 3))
model.train()
for number in range(30):
    value = step(*pack([train_rows[(number * 4 + k) % len(train_rows)] for k in range(4)]))
    mx.eval(state, value)
    if number % 10 == 9:
        print(number + 1, round(value.item(), 3), round(held_out(), 3))
model.eval()
mx.save_safetensors("adapters.safetensors", dict(tree_flatten(model.trainable_parameters())))
prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": "What color is the moss?"}], add_generation_prompt=True, return_dict=False
)
print(generate(model, tokenizer, prompt=prompt, max_tokens=24))
