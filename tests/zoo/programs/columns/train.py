"""Preferences from a file with columns prompt, answer, chosen and rejected: first the answers, then the preference."""

import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

FILE = Path("columns.jsonl")
with FILE.open("w") as file:
    for line in Path("data/train.jsonl").read_text().splitlines():
        user, assistant = (message["content"] for message in json.loads(line)["messages"])
        wrong = f"I would rather not talk about {user.split()[-1]}"
        row = {"prompt": user, "answer": assistant, "chosen": assistant, "rejected": wrong}
        file.write(json.dumps(row) + "\n")

mx.random.seed(40)
model, tokenizer = load("model")
reference, _ = load("model")
reference.freeze()
model.freeze()
linear_to_lora_layers(model, len(model.layers), {"rank": 8, "scale": 4.0, "dropout": 0.0})
records = [json.loads(line) for line in FILE.open()]


def tokens(question, answer):
    chat = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    start = len(tokenizer.apply_chat_template(chat[:1], add_generation_prompt=True, return_dict=False))
    return tokenizer.apply_chat_template(chat, return_dict=False), start


def padded(rows):
    width = max(len(ids) for ids, _ in rows)
    ids = mx.array([row + [tokenizer.pad_token_id] * (width - len(row)) for row, _ in rows])
    mask = mx.array([[float(start <= i < len(row)) for i in range(1, width)] for row, start in rows])
    return ids, mask


def likelihood(model, ids, mask):
    return -(nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:]) * mask).sum(axis=-1)


def supervised(model, ids, mask):
    return -likelihood(model, ids, mask).sum() / mask.sum()


def preferred(model, chosen, rejected, good, bad):
    margin = (likelihood(model, *chosen) - good) - (likelihood(model, *rejected) - bad)
    return mx.logaddexp(0.0, -0.1 * margin).mean()


def train(step, batches):
    model.train()
    for batch in batches:
        value, grads = step(model, *batch)
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state)
    print("loss", round(value.item(), 4))


optimizer = optim.Adam(learning_rate=5e-4)


def parts(size, count):
    return [[records[(size * i + k) % len(records)] for k in range(size)] for i in range(count)]


train(
    nn.value_and_grad(model, supervised),
    [padded([tokens(r["prompt"], r["answer"]) for r in part]) for part in parts(4, 8)],
)
batches = []
for part in parts(2, 12):
    chosen = padded([tokens(r["prompt"], r["chosen"]) for r in part])
    rejected = padded([tokens(r["prompt"], r["rejected"]) for r in part])
    batches.append((chosen, rejected, likelihood(reference, *chosen), likelihood(reference, *rejected)))
train(nn.value_and_grad(model, preferred), batches)
model.eval()
mx.save_safetensors("columns.safetensors", dict(tree_flatten(model.trainable_parameters())))
prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": records[0]["prompt"]}], add_generation_prompt=True, return_dict=False
)
print(generate(model, tokenizer, prompt=prompt, max_tokens=20))
