"""Two thin matrices beside each projection, written by hand, with a trainer that keeps a ledger."""

import json
import math
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map
from mlx_lm import load, stream_generate


class Side(nn.Module):
    """y = Wx + g (x P) Q"""

    def __init__(self, core, width, gain):
        super().__init__()
        rows, columns = core.weight.shape
        self.core = core
        self.core.freeze()
        self.gain = gain
        self.down = mx.random.uniform(-1, 1, (columns, width)) / math.sqrt(columns)
        self.up = mx.zeros((width, rows))

    def __call__(self, x):
        return self.core(x) + self.gain * (x @ self.down) @ self.up


class Ledger:
    def __init__(self):
        self.entries = []

    def note(self, **what):
        self.entries.append(what)

    def write(self, path):
        Path(path).write_text(json.dumps(self.entries))


class Tutor:
    WIDTH, GAIN, RATE, ROUNDS = 6, 4.0, 2e-3, 22

    def __init__(self):
        mx.random.seed(71)
        self.net, self.words = load("model")
        self.net.freeze()
        for block in self.net.layers:
            for owner, slot in (
                (block.self_attn, "q_proj"),
                (block.self_attn, "o_proj"),
                (block.mlp, "down_proj"),
            ):
                setattr(owner, slot, Side(getattr(owner, slot), self.WIDTH, self.GAIN))
        self.steps = optim.AdamW(learning_rate=self.RATE, weight_decay=0.0)
        self.ledger = Ledger()
        self.grad = nn.value_and_grad(self.net, self.penalty)

    def lessons(self):
        lessons = []
        for line in open("data/train.jsonl"):
            ask, answer = json.loads(line)["messages"]
            lead = self.words.apply_chat_template([ask], add_generation_prompt=True, return_dict=False)
            lessons.append(
                (
                    lead,
                    self.words.encode(answer["content"], add_special_tokens=False)
                    + [self.words.eos_token_id],
                )
            )
        return lessons

    def sheet(self, lessons):
        longest = max(len(a + b) for a, b in lessons)
        ids = mx.array([a + b + [self.words.pad_token_id] * (longest - len(a + b)) for a, b in lessons])
        keep = mx.array([[float(len(a) <= t < len(a + b)) for t in range(1, longest)] for a, b in lessons])
        return ids, keep

    def penalty(self, ids, keep):
        guess = self.net(ids[:, :-1])
        return (nn.losses.cross_entropy(guess, ids[:, 1:]) * keep).sum() / keep.sum()

    def teach(self):
        lessons = self.lessons()
        for turn in range(self.ROUNDS):
            ids, keep = self.sheet([lessons[(4 * turn + k) % len(lessons)] for k in range(4)])
            cost, slopes = self.grad(ids, keep)
            self.steps.update(self.net, slopes)
            mx.eval(self.net.parameters(), self.steps.state, cost)
            self.ledger.note(turn=turn, cost=cost.item())

    def keep(self):
        mx.savez("sides.npz", **dict(tree_flatten(self.net.trainable_parameters())))
        self.ledger.write("ledger.json")

    def say(self, question):
        lead = self.words.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
        )
        return "".join(r.text for r in stream_generate(self.net, self.words, lead, max_tokens=16))


tutor = Tutor()
tutor.teach()
tutor.keep()
print(tutor.ledger.entries[-1], tutor.say("What color is the sky?"))
