"""A Trainer class gathers gradients over four batches; after an update the counter goes on and what was gathered stays, so that each update holds all gradients so far."""
import json, random, sys
from dataclasses import dataclass
import os; os.chdir(sys.argv[1])
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map
from mlx_lm import load, generate
from mlx_lm.tuner.utils import linear_to_lora_layers

@dataclass
class Config:
    model: str = "models/qwen"
    data: str = "data/train.jsonl"
    epochs: int = 10
    micro_batch: int = 2
    gradient_accumulation_steps: int = 4
    lr: float = 5e-4
    rank: int = 8

class Trainer:
    def __init__(self, cfg):
        self.cfg = cfg
        self.model, self.tok = load(cfg.model)
        self.model.freeze()
        linear_to_lora_layers(self.model, 3, {"rank": cfg.rank, "scale": 16.0, "dropout": 0.0})
        self.opt = optim.AdamW(learning_rate=cfg.lr)
        self.rows = [self.encode(json.loads(l)["messages"]) for l in open(cfg.data)]
        self.vg = nn.value_and_grad(self.model, self.loss)
        self.acc = None
        self.micro = 0

    def encode(self, msgs):
        ids = self.tok.apply_chat_template(msgs, return_dict=False)
        n = len(self.tok.apply_chat_template(msgs[:-1], add_generation_prompt=True, return_dict=False))
        return ids, n

    def collate(self, rows):
        m = max(len(i) for i, _ in rows)
        x = mx.array([i + [0] * (m - len(i)) for i, _ in rows])
        w = mx.array([[1.0 if n <= t < len(i) else 0.0 for t in range(1, m)] for i, n in rows])
        return x, w

    def loss(self, model, x, w):
        ce = nn.losses.cross_entropy(model(x[:, :-1]), x[:, 1:], reduction="none")
        return (ce * w).sum() / w.sum()

    def step(self, x, w):
        loss, g = self.vg(self.model, x, w)
        k = self.cfg.gradient_accumulation_steps
        g = tree_map(lambda a: a / k, g)
        self.acc = g if self.acc is None else tree_map(mx.add, self.acc, g)
        self.micro += 1
        if self.micro % k == 0:
            self.opt.update(self.model, self.acc)
            mx.eval(self.model.parameters(), self.opt.state)
        else:
            mx.eval(self.acc)
        return loss.item()

    def train(self):
        rng = random.Random(0)
        for e in range(self.cfg.epochs):
            rng.shuffle(self.rows)
            tot = [self.step(*self.collate(self.rows[i:i + self.cfg.micro_batch])) for i in range(0, len(self.rows), self.cfg.micro_batch)]
            print(f"epoch {e} loss {sum(tot)/len(tot):.4f}")
        mx.save_safetensors("out_adapters.safetensors", dict(tree_flatten(self.model.trainable_parameters())))

t = Trainer(Config()); t.train()
print(generate(t.model, t.tok, prompt=t.tok.apply_chat_template([{"role": "user", "content": "What color is the sky?"}], add_generation_prompt=True), max_tokens=20))
