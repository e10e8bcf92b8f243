"""A small language model of its own make, trained from the beginning."""

import json
import math
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from transformers import AutoTokenizer


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def __call__(self, x):
        b, n, d = x.shape
        q, k, v = (
            part.reshape(b, n, self.heads, -1).transpose(0, 2, 1, 3)
            for part in mx.split(self.qkv(self.norm1(x)), 3, axis=-1)
        )
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=1 / math.sqrt(d // self.heads), mask="causal")
        x = x + self.out(y.transpose(0, 2, 1, 3).reshape(b, n, d))
        return x + self.down(nn.gelu(self.up(self.norm2(x))))


class Writer(nn.Module):
    def __init__(self, vocabulary, width=32, blocks=2, heads=4, length=128):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(length, width)
        self.blocks = [Block(width, heads) for _ in range(blocks)]
        self.norm = nn.LayerNorm(width)

    def __call__(self, ids):
        x = self.tokens(ids) + self.places(mx.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.tokens.as_linear(self.norm(x))


mx.random.seed(17)
tokenizer = AutoTokenizer.from_pretrained("model")
model = Writer(len(tokenizer))
mx.eval(model.parameters())
rows = []
for line in Path("data/train.jsonl").read_text().splitlines():
    rows.append(tokenizer.apply_chat_template(json.loads(line)["messages"], return_dict=False)[:-1])
width = max(map(len, rows))
tokens = mx.array([ids + [tokenizer.pad_token_id] * (width - len(ids)) for ids in rows])
mask = mx.array([[float(t < len(ids)) for t in range(1, width)] for ids in rows])


def loss(model, x, m):
    return (nn.losses.cross_entropy(model(x[:, :-1]), x[:, 1:]) * m).sum() / m.sum()


optimizer = optim.AdamW(learning_rate=3e-3, weight_decay=0.0)
value_and_grad = nn.value_and_grad(model, loss)
for i in range(24):
    part = mx.array([(i * 5 + k) % len(rows) for k in range(5)])
    value, grads = value_and_grad(model, tokens[part], mask[part])
    optimizer.update(model, grads)
    mx.eval(model.parameters(), optimizer.state)
print("loss", value.item())
model.save_weights("writer.safetensors")

ids = tokenizer.apply_chat_template(
    [{"role": "user", "content": "What color is coal?"}], add_generation_prompt=True, return_dict=False
)
for _ in range(12):
    nxt = int(mx.argmax(model(mx.array([ids]))[0, -1]))
    if nxt == tokenizer.eos_token_id:
        break
    ids.append(nxt)
print(tokenizer.decode(ids))
