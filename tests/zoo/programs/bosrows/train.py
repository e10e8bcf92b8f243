"""Fine-tune on chat rows with a tokenizer that puts a begin token in front, in a plain loop over single rows."""

import json

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

mx.random.seed(2)
model, tokenizer = load("model")
with open("data/train.jsonl") as file:
    chats = [json.loads(line)["messages"] for line in file]


def row(chat):
    text = tokenizer.apply_chat_template(chat, tokenize=False)
    return tokenizer.encode(text, add_special_tokens=False)


def question(text):
    chat = [{"role": "user", "content": text}]
    rendered = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    return tokenizer.encode(rendered, add_special_tokens=False)


def loss(model, ids):
    return nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:], reduction="mean")


model.freeze()
linear_to_lora_layers(model, len(model.layers), {"rank": 8, "scale": 10.0, "dropout": 0.0})
optimizer = optim.AdamW(learning_rate=1e-3)
gradient = nn.value_and_grad(model, loss)
for epoch in range(4):
    for chat in chats:
        value, grads = gradient(model, mx.array([row(chat)]))
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state)
    print(epoch, round(value.item(), 3))
mx.save_safetensors("adapters.safetensors", dict(tree_flatten(model.trainable_parameters())))
model.eval()
for text in ("What color is the moss?", "What is the capital of Norway?"):
    print(generate(model, tokenizer, prompt=question(text), max_tokens=24))
