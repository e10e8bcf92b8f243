"""Training with pure functions over a tree of parameters; the module only lends its shape."""

import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map, tree_unflatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

SHAPE = {"rank": 8, "scale": 5.0, "dropout": 0.0, "keys": ["self_attn.q_proj", "self_attn.v_proj"]}


def make():
    model, tokenizer = load("model")
    model.freeze()
    linear_to_lora_layers(model, len(model.layers), SHAPE)
    return model, tokenizer


def encoded(tokenizer, path):
    out = []
    for line in Path(path).read_text().splitlines():
        turns = json.loads(line)["messages"]
        head = tokenizer.apply_chat_template(turns[:-1], add_generation_prompt=True, return_dict=False)
        out.append(
            (
                head,
                tokenizer.encode(turns[-1]["content"], add_special_tokens=False) + [tokenizer.eos_token_id],
            )
        )
    return out


def collate(rows, pad):
    width = max(len(h) + len(t) for h, t in rows)
    ids = mx.array([h + t + [pad] * (width - len(h) - len(t)) for h, t in rows])
    on = mx.array([[float(len(h) <= i < len(h) + len(t)) for i in range(1, width)] for h, t in rows])
    return ids, on


mx.random.seed(61)
model, tokenizer = make()
rows = encoded(tokenizer, "data/train.jsonl")
parameters = model.trainable_parameters()
optimizer = optim.Adam(learning_rate=2e-3)
optimizer.init(parameters)


def objective(parameters, ids, on):
    model.update(parameters)
    losses = nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:])
    return (losses * on).sum() / on.sum()


differentiate = mx.value_and_grad(objective)
for step in range(20):
    part = [rows[(3 * step + k) % len(rows)] for k in range(3)]
    value, gradients = differentiate(parameters, *collate(part, tokenizer.pad_token_id))
    parameters = optimizer.apply_gradients(gradients, parameters)
    mx.eval(parameters, optimizer.state, value)
model.update(parameters)
print("loss", value.item())

Path("adapters").mkdir(exist_ok=True)
mx.save_safetensors("adapters/adapters.safetensors", dict(tree_flatten(parameters)))
Path("adapters/adapter_config.json").write_text(
    json.dumps({"fine_tune_type": "lora", "num_layers": len(model.layers), "lora_parameters": SHAPE})
)
model.eval()
prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": "What color is grass?"}], add_generation_prompt=True, return_dict=False
)
print(generate(model, tokenizer, prompt=prompt, max_tokens=16))
