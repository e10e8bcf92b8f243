"""LoRA on a quantized base."""

import json
import os

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

PARAMETERS = {
    "rank": 8,
    "scale": 6.0,
    "dropout": 0.0,
    "keys": ["self_attn.q_proj", "self_attn.v_proj", "mlp.gate_proj"],
}
ROUNDS = 20


def prepare():
    model, tokenizer = load("model")
    model.freeze()
    linear_to_lora_layers(model, 2, PARAMETERS)
    model.train()
    return model, tokenizer


def stream(tokenizer, size=3):
    items = []
    with open("data/train.jsonl") as lines:
        for line in lines:
            chat = json.loads(line)["messages"]
            start = len(
                tokenizer.apply_chat_template(chat[:1], add_generation_prompt=True, return_dict=False)
            )
            ids = tokenizer.apply_chat_template(chat, return_dict=False)[:-1]
            items.append((ids, start))
    at = 0
    while True:
        chosen = [items[(at + k) % len(items)] for k in range(size)]
        at += size
        longest = max(len(ids) for ids, _ in chosen)
        x = mx.array([ids + [tokenizer.pad_token_id] * (longest - len(ids)) for ids, _ in chosen])
        w = mx.array(
            [[1.0 if start <= i < len(ids) else 0.0 for i in range(1, longest)] for ids, start in chosen]
        )
        yield x, w


def objective(model, x, w):
    logits = model(x[:, :-1])
    return mx.sum(nn.losses.cross_entropy(logits, x[:, 1:]) * w) / mx.sum(w)


mx.random.seed(12)
model, tokenizer = prepare()
optimizer = optim.Adam(learning_rate=2e-3)
value_and_grad = nn.value_and_grad(model, objective)
for i, (x, w) in enumerate(stream(tokenizer)):
    if i == ROUNDS:
        break
    value, gradients = value_and_grad(model, x, w)
    optimizer.update(model, gradients)
    mx.eval(model.trainable_parameters(), optimizer.state)
print("loss", value.item())
model.eval()

os.makedirs("adapters", exist_ok=True)
mx.save_safetensors("adapters/adapters.safetensors", dict(tree_flatten(model.trainable_parameters())))
with open("adapters/adapter_config.json", "w") as out:
    json.dump({"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": PARAMETERS}, out)
for question in ("What is the capital of Italy?",):
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
    )
    print(generate(model, tokenizer, prompt=prompt, max_tokens=16))
