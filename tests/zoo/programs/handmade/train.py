"""Low-rank deltas of our own make."""

import json
import math
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map_with_path
from mlx_lm import generate, load


class LowRank(nn.Module):
    def __init__(self, linear, rank, gain):
        super().__init__()
        out, inner = linear.weight.shape
        self.linear = linear
        self.gain = gain
        self.lora_a = mx.random.normal((inner, rank)) / math.sqrt(inner)
        self.lora_b = mx.zeros((rank, out))

    def __call__(self, x):
        return self.linear(x) + self.gain * ((x @ self.lora_a) @ self.lora_b)


def insert(model, rank, gain):
    model.freeze()
    for block in model.layers:
        attention = block.self_attn
        attention.q_proj = LowRank(attention.q_proj, rank, gain)
        attention.v_proj = LowRank(attention.v_proj, rank, gain)
        attention.q_proj.linear.freeze()
        attention.v_proj.linear.freeze()


mx.random.seed(23)
model, tokenizer = load("model")
insert(model, rank=4, gain=3.0)
print("training", sum(v.size for _, v in tree_flatten(model.trainable_parameters())), "numbers")

items = []
for line in Path("data/train.jsonl").open():
    question, answer = json.loads(line)["messages"]
    p = tokenizer.apply_chat_template([question], add_generation_prompt=True, return_dict=False)
    items.append(
        (p, tokenizer.encode(answer["content"], add_special_tokens=False) + [tokenizer.eos_token_id])
    )


def batch(i, size=3):
    rows = [items[(i * size + k) % len(items)] for k in range(size)]
    width = max(len(p + a) for p, a in rows)
    tokens = mx.array([p + a + [tokenizer.pad_token_id] * (width - len(p + a)) for p, a in rows])
    mask = mx.array([[float(len(p) <= t < len(p + a)) for t in range(1, width)] for p, a in rows])
    return tokens, mask


def loss(tokens, mask):
    logits = model(tokens[:, :-1])
    return (nn.losses.cross_entropy(logits, tokens[:, 1:]) * mask).sum() / mask.sum()


value_and_grad = nn.value_and_grad(model, loss)
optimizer = optim.Adam(learning_rate=3e-3)
for i in range(20):
    value, grads = value_and_grad(*batch(i))
    optimizer.update(model, grads)
    mx.eval(model.parameters(), optimizer.state, value)
print("loss", value.item())

deltas = {k: v for k, v in tree_flatten(model.trainable_parameters())}
mx.save_safetensors("deltas.safetensors", deltas)
prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": "What color is the sky?"}], add_generation_prompt=True, return_dict=False
)
print(generate(model, tokenizer, prompt=prompt, max_tokens=16))
