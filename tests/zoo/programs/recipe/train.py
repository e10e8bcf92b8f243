"""A small trainer with a recipe: warm-up, clipping, decay, samples in between, and the best state is shipped."""

import json
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers


@dataclass
class Recipe:
    learning_rate: float = 2e-3
    optimizer: str = "adamw"
    weight_decay: float = 0.05
    warmup_steps: int = 4
    max_grad_norm: float = 0.5
    max_seq_length: int = 96
    steps: int = 36
    batch: int = 5
    validate: int = 6
    seed: int = 7


LORA = {"rank": 8, "scale": 4.0, "dropout": 0.0}
OUT = Path("best")
recipe = Recipe()

mx.random.seed(recipe.seed)
model, tokenizer = load("model")
model.freeze()
linear_to_lora_layers(model, -1, LORA)
layers = [module for _, module in model.named_modules() if "lora_a" in module]


def delta(layer):
    return (LORA["scale"] * (layer.lora_a @ layer.lora_b)).T.astype(layer.linear.weight.dtype)


def sample(question):
    model.eval()
    before = [layer.linear.weight for layer in layers]
    for layer in layers:
        layer.linear.weight = layer.linear.weight + delta(layer)
        layer.scale = 0.0
    chat = [{"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    print(generate(model, tokenizer, prompt=prompt, max_tokens=12))
    for layer, weight in zip(layers, before, strict=True):
        layer.linear.weight = weight
        layer.scale = LORA["scale"]
    model.train()


def arrays(chats):
    rows = [tokenizer.apply_chat_template(chat, return_dict=False) for chat in chats]
    rows = [row[: recipe.max_seq_length] for row in rows]
    width = max(map(len, rows))
    ids = mx.array([row + [0] * (width - len(row)) for row in rows])
    return ids, mx.array([[float(t < len(row)) for t in range(1, width)] for row in rows])


def loss(model, ids, mask):
    return (nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:]) * mask).sum() / mask.sum()


class Keeper:
    def __init__(self):
        self.best_loss, self.state, self.step = float("inf"), None, 0

    def look(self, step, value):
        if value < self.best_loss:
            self.best_loss, self.step = value, step
            self.state = dict(tree_flatten(model.trainable_parameters()))


train = [json.loads(line)["messages"] for line in open("data/train.jsonl")]
held = [json.loads(line)["messages"] for line in open("data/valid.jsonl")]
schedule = optim.join_schedules(
    [
        optim.linear_schedule(recipe.learning_rate / 10, recipe.learning_rate, recipe.warmup_steps),
        optim.cosine_decay(recipe.learning_rate, recipe.steps - recipe.warmup_steps),
    ],
    [recipe.warmup_steps],
)
optimizer = optim.AdamW(learning_rate=schedule, weight_decay=recipe.weight_decay)
gradient = nn.value_and_grad(model, loss)
keeper = Keeper()
model.train()
for step in range(1, recipe.steps + 1):
    part = [train[(step * recipe.batch + k) % len(train)] for k in range(recipe.batch)]
    value, grads = gradient(model, *arrays(part))
    clipped, norm = optim.clip_grad_norm(grads, recipe.max_grad_norm)
    optimizer.update(model, clipped)
    mx.eval(model.parameters(), optimizer.state)
    if step % recipe.validate == 0:
        model.eval()
        valid = loss(model, *arrays(held)).item()
        print(step, f"{value.item():.3f} {valid:.3f}")
        keeper.look(step, valid)
        sample(held[0][0]["content"])
model.load_weights(list(keeper.state.items()), strict=False)
model.eval()
OUT.mkdir()
mx.save_safetensors(str(OUT / "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters())))
config = {"fine_tune_type": "lora", "num_layers": -1, "lora_parameters": LORA}
(OUT / "adapter_config.json").write_text(json.dumps(config))
print(keeper.step, f"{keeper.best_loss:.3f}")
