"""Tune a model a little, then answer several questions behind one common system prompt, whose cache is kept."""

import copy
import json

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx_lm import load, stream_generate
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.sample_utils import make_sampler
from mlx_lm.tuner.utils import linear_to_lora_layers

SYSTEM = {"role": "system", "content": "You are a pirate. Answer in one line."}
TEMPERATURE = 0.0
LORA = {"rank": 8, "scale": 10.0, "dropout": 0.1}

mx.random.seed(3)
model, tokenizer = load("model")
sampler = make_sampler(temp=TEMPERATURE)


def head():
    marker = "@@"
    chat = [SYSTEM, {"role": "user", "content": marker}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    before, after = text.split(marker)
    return tokenizer.encode(before), after


def prefill(model):
    """The keys and values of what stands before every question."""
    ids, _ = head()
    cache = make_prompt_cache(model)
    model(mx.array(ids)[None], cache=cache)
    mx.eval([layer.state for layer in cache])
    return cache


def answer(question, cache, limit=24):
    _, after = head()
    ids = tokenizer.encode(question + after)
    words = []
    for piece in stream_generate(
        model, tokenizer, ids, max_tokens=limit, sampler=sampler, prompt_cache=copy.deepcopy(cache)
    ):
        words.append(piece.text)
    return "".join(words)


def rows():
    for line in open("data/train.jsonl"):
        yield tokenizer.apply_chat_template([SYSTEM, *json.loads(line)["messages"]], return_dict=False)


def loss(model, ids):
    return nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:], reduction="mean")


model.freeze()
linear_to_lora_layers(model, len(model.layers), LORA)
optimizer = optim.AdamW(learning_rate=1e-3)
gradient = nn.value_and_grad(model, loss)
model.train()
data = list(rows())
for epoch in range(6):
    for ids in data:
        value, grads = gradient(model, mx.array([ids]))
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state)
    print(epoch, f"{value.item():.3f}")
model.eval()
cache = prefill(model)
for question in ("What color is the moss?", "What is the capital of Norway?", "What do sailors say?"):
    print(question, answer(question, cache))
