"""Train an adapter, fuse it into the weights, save the whole model, and load that."""

import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import save

LORA = {"rank": 8, "scale": 10.0, "dropout": 0.0}

mx.random.seed(9)
model, tokenizer, config = load("model", return_config=True)
rows = [
    tokenizer.apply_chat_template(json.loads(line)["messages"], return_dict=False)
    for line in Path("data/train.jsonl").read_text().splitlines()
]


def loss(model, ids, lengths):
    real = mx.arange(1, ids.shape[1])[None] < lengths[:, None]
    return (nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:]) * real).sum() / real.sum()


def train(model, steps=24):
    model.freeze()
    linear_to_lora_layers(model, len(model.layers), LORA)
    optimizer = optim.AdamW(learning_rate=2e-3, weight_decay=0.0)
    gradient = nn.value_and_grad(model, loss)
    model.train()
    for step in range(steps):
        part = [rows[(step * 4 + k) % len(rows)] for k in range(4)]
        width = max(map(len, part))
        ids = mx.array([row + [0] * (width - len(row)) for row in part])
        value, grads = gradient(model, ids, mx.array([len(row) for row in part]))
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state)
    model.eval()
    return value.item()


def keep(model, directory):
    Path(directory).mkdir(exist_ok=True)
    mx.save_safetensors(f"{directory}/adapters.safetensors", dict(tree_flatten(model.trainable_parameters())))
    settings = {"fine_tune_type": "lora", "num_layers": len(model.layers), "lora_parameters": LORA}
    Path(directory, "adapter_config.json").write_text(json.dumps(settings))


def fuse(model):
    fused = [(name, module.fuse()) for name, module in model.named_modules() if hasattr(module, "fuse")]
    model.update_modules(tree_unflatten(fused))
    return model


def answer(model, tokenizer, question):
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False
    )
    return generate(model, tokenizer, prompt=prompt, max_tokens=24)


print("loss", round(train(model), 3))
keep(model, "adapters")
merged, _ = load("model", adapter_path="adapters")
merged = fuse(merged)
save("fused", "model", merged, tokenizer, config, donate_model=False)
final, words = load("fused")
print(answer(final, words, "What color is the moss?"))
