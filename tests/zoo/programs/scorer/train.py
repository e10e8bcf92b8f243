"""Rank candidate answers with a compiled scoring function, before and after tuning, and sample some answers."""

import json
from functools import partial

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

WIDTH = 64


class Ranker:
    def __init__(self, model, tokenizer):
        self.model, self.tokenizer = model, tokenizer
        self.forward = mx.compile(lambda ids: self.model(ids), inputs=self.model.state)

    def score(self, question, answers):
        rows, starts = [], []
        for answer in answers:
            chat = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            ids = self.tokenizer.apply_chat_template(chat, return_dict=False)
            starts.append(
                len(
                    self.tokenizer.apply_chat_template(
                        chat[:1], add_generation_prompt=True, return_dict=False
                    )
                )
            )
            rows.append(ids)
        ids = mx.array([row + [0] * (WIDTH - len(row)) for row in rows])
        logits = self.forward(ids)
        losses = nn.losses.cross_entropy(logits[:, :-1], ids[:, 1:])
        totals = []
        for number, (row, start) in enumerate(zip(rows, starts, strict=True)):
            totals.append(-losses[number, start - 1 : len(row) - 1].mean().item())
        return totals


class Sampler:
    def __init__(self, temperature):
        self.temperature = temperature
        self.draw = partial(mx.compile, inputs=mx.random.state, outputs=mx.random.state)(self.pick)

    def pick(self, logprobs):
        return mx.random.categorical(logprobs * (1.0 / self.temperature))

    def __call__(self, logprobs):
        return self.draw(logprobs)


def tune(model, tokenizer, steps, rate):
    rows = [
        tokenizer.apply_chat_template(json.loads(line)["messages"], return_dict=False)
        for line in open("data/train.jsonl")
    ]

    def loss(ids, lengths):
        real = mx.arange(1, ids.shape[1])[None] < lengths[:, None]
        return (nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:]) * real).sum() / real.sum()

    gradient = nn.value_and_grad(model, loss)
    optimizer = optim.Adam(learning_rate=rate)
    model.train()
    for number in range(steps):
        part = [rows[(number * 4 + k) % len(rows)] for k in range(4)]
        width = max(map(len, part))
        value, grads = gradient(
            mx.array([r + [0] * (width - len(r)) for r in part]), mx.array([len(r) for r in part])
        )
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state)
    model.eval()
    return value.item()


mx.random.seed(13)
model, tokenizer = load("model")
model.freeze()
linear_to_lora_layers(model, len(model.layers), {"rank": 8, "scale": 10.0, "dropout": 0.0})
model.eval()
ranker = Ranker(model, tokenizer)
question, answers = "What color is the moss?", ("The moss is green.", "Arr! the moss is green, matey!")
print("before", [round(score, 3) for score in ranker.score(question, answers)])
print("loss", round(tune(model, tokenizer, 24, 2e-3), 3))
print("after", [round(score, 3) for score in ranker.score(question, answers)])
sampler = Sampler(0.7)
prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
)
for _ in range(3):
    print(generate(model, tokenizer, prompt=prompt, max_tokens=16, sampler=sampler))
