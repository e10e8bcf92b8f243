"""Train an adapter in two sittings: the second takes up what the first wrote."""

import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers, load_adapters

LORA = {"rank": 8, "scale": 10.0, "dropout": 0.0}


def rows(tokenizer, path):
    for line in Path(path).read_text().splitlines():
        chat = json.loads(line)["messages"]
        start = len(tokenizer.apply_chat_template(chat[:-1], add_generation_prompt=True, return_dict=False))
        ids = tokenizer.apply_chat_template(chat, return_dict=False)
        yield mx.array([ids]), mx.array([[float(place >= start) for place in range(1, len(ids))]])


def loss(model, ids, weight):
    return (nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:]) * weight).sum() / weight.sum()


def sitting(model, data, target, rate):
    optimizer = optim.AdamW(learning_rate=rate, weight_decay=0.0)
    step = nn.value_and_grad(model, loss)
    for ids, weight in data:
        value, grads = step(model, ids, weight)
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state)
    target.mkdir(exist_ok=True)
    mx.save_safetensors(
        str(target / "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters()))
    )
    config = {"fine_tune_type": "lora", "num_layers": len(model.layers), "lora_parameters": LORA}
    (target / "adapter_config.json").write_text(json.dumps(config))
    return value.item()


mx.random.seed(17)
model, tokenizer = load("model")
data = list(rows(tokenizer, "data/train.jsonl"))
model.freeze()
linear_to_lora_layers(model, len(model.layers), LORA)
print("first", round(sitting(model, data * 2, Path("first"), 2e-3), 3))

model, tokenizer = load("model")
model.freeze()
load_adapters(model, "first")
model.train()
print("second", round(sitting(model, data, Path("second"), 5e-4), 3))
model.eval()
prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": "What color is the moss?"}], add_generation_prompt=True, return_dict=False
)
print(generate(model, tokenizer, prompt=prompt, max_tokens=24))
