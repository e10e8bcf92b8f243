"""LoRA with a compiled training step."""

import json
import os
from functools import partial

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map
from mlx_lm import load, stream_generate
from mlx_lm.tuner.utils import linear_to_lora_layers

STEPS = 30
WIDTH = 48
lora = dict(rank=8, scale=4.0, dropout=0.0, keys=["self_attn.qkv_proj", "mlp.down_proj"])

mx.random.seed(3)
model, tokenizer = load("model")
model.freeze()
linear_to_lora_layers(model, -1, lora)

tokens, weights = [], []
with open("data/train.jsonl") as file:
    for line in file:
        messages = json.loads(line)["messages"]
        head = tokenizer.apply_chat_template(messages[:1], add_generation_prompt=True, return_dict=False)
        tail = tokenizer.encode(messages[1]["content"]) + [tokenizer.eos_token_id]
        ids = head + tail
        assert len(ids) <= WIDTH
        tokens.append(ids + [tokenizer.pad_token_id] * (WIDTH - len(ids)))
        weights.append([float(len(head) - 1 <= i < len(ids) - 1) for i in range(WIDTH - 1)])
tokens, weights = mx.array(tokens), mx.array(weights)

schedule = optim.cosine_decay(2e-3, STEPS, 1e-4)
optimizer = optim.Adam(learning_rate=schedule)


def loss(model, x, w):
    logits = model(x[:, :-1])
    return (nn.losses.cross_entropy(logits, x[:, 1:]) * w).sum() / w.sum()


gradient = nn.value_and_grad(model, loss)
state = [model.state, optimizer.state, mx.random.state]


@partial(mx.compile, inputs=state, outputs=state)
def step(x, w):
    value, grads = gradient(model, x, w)
    optimizer.update(model, grads)
    return value


model.train()
for i in range(STEPS):
    picked = mx.array([(4 * i + k) % len(tokens) for k in range(4)])
    value = step(tokens[picked], weights[picked])
    mx.eval(state, value)
    if i % 10 == 9:
        print(i + 1, round(value.item(), 3))
model.eval()

os.makedirs("adapters", exist_ok=True)
mx.save_safetensors("adapters/adapters.safetensors", dict(tree_flatten(model.trainable_parameters())))
with open("adapters/adapter_config.json", "w") as file:
    json.dump({"fine_tune_type": "lora", "num_layers": len(model.layers), "lora_parameters": lora}, file)

prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": "What color is coal?"}], add_generation_prompt=True, return_dict=False
)
print("".join(part.text for part in stream_generate(model, tokenizer, prompt, max_tokens=20)))
