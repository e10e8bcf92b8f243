"""Fine-tune with a running average of the weights, and answer with the average."""

import copy
import json

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

DECAY = 0.8

mx.random.seed(14)
model, tokenizer = load("model")
model.freeze()
linear_to_lora_layers(model, len(model.layers), {"rank": 8, "scale": 10.0, "dropout": 0.0})
mx.eval(model.parameters())
average = copy.deepcopy(model)


def blend():
    """Move the average a little towards the trained weights."""
    mixed = tree_map(
        lambda old, new: DECAY * old + (1 - DECAY) * new,
        average.trainable_parameters(),
        model.trainable_parameters(),
    )
    average.update(mixed)
    mx.eval(average.parameters())


def loss(model, ids, lengths):
    real = mx.arange(1, ids.shape[1])[None] < lengths[:, None]
    return (nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:]) * real).sum() / real.sum()


rows = [
    tokenizer.apply_chat_template(json.loads(line)["messages"], return_dict=False)
    for line in open("data/train.jsonl")
]
optimizer = optim.AdamW(learning_rate=2e-3, weight_decay=0.0)
gradient = nn.value_and_grad(model, loss)
for number in range(30):
    part = [rows[(number * 4 + k) % len(rows)] for k in range(4)]
    width = max(map(len, part))
    value, grads = gradient(
        model, mx.array([r + [0] * (width - len(r)) for r in part]), mx.array([len(r) for r in part])
    )
    optimizer.update(model, grads)
    mx.eval(model.parameters(), optimizer.state)
    blend()
print("loss", round(value.item(), 3))
average.eval()
mx.save_safetensors("average.safetensors", dict(tree_flatten(average.trainable_parameters())))
prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": "What color is the moss?"}], add_generation_prompt=True, return_dict=False
)
print(generate(average, tokenizer, prompt=prompt, max_tokens=24))
