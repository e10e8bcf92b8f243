"""Fine-tune the last block of a 16-bit model."""

import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map
from mlx_lm import generate, load

training = {
    "fine_tune_type": "full",
    "num_layers": 1,
    "optimizer": "adam",
    "learning_rate": 5e-4,
    "eps": 1e-4,
    "iters": 18,
    "batch_size": 3,
}

mx.random.seed(6)
model, tokenizer = load("model")
model.freeze()
for layer in model.layers[-training["num_layers"] :]:
    layer.unfreeze()

rows = []
for line in Path("data/train.jsonl").read_text().splitlines():
    chat = json.loads(line)["messages"]
    begin = len(tokenizer.apply_chat_template(chat[:1], add_generation_prompt=True, return_dict=False))
    ids = tokenizer.apply_chat_template(chat, return_dict=False)
    ids = ids[: len(ids) - ids[::-1].index(tokenizer.eos_token_id)]
    rows.append((ids, begin))


def get_batch(i):
    chosen = [rows[(i * training["batch_size"] + k) % len(rows)] for k in range(training["batch_size"])]
    width = max(len(ids) for ids, _ in chosen)
    tokens = mx.array([ids + [tokenizer.pad_token_id] * (width - len(ids)) for ids, _ in chosen])
    steps = mx.arange(1, width)
    lengths = mx.array([(begin, len(ids)) for ids, begin in chosen])
    return tokens, mx.logical_and(steps >= lengths[:, :1], steps < lengths[:, 1:])


def loss(model, tokens, mask):
    logits = model(tokens[:, :-1]).astype(mx.float32)
    return (nn.losses.cross_entropy(logits, tokens[:, 1:]) * mask).sum() / mask.sum()


optimizer = optim.Adam(learning_rate=training["learning_rate"], eps=training["eps"])
value_and_grad = nn.value_and_grad(model, loss)
model.train()
for i in range(training["iters"]):
    value, gradients = value_and_grad(model, *get_batch(i))
    optimizer.update(model, gradients)
    mx.eval(model.parameters(), optimizer.state)
    if i % 6 == 5:
        print(f"{i + 1}: {value.item():.3f}")
model.eval()

Path("tuned").mkdir(exist_ok=True)
Path("tuned/config.json").write_text(Path("model/config.json").read_text())
model.save_weights("tuned/model.safetensors")
Path("tuned/training.json").write_text(json.dumps(training))
prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": "What color is blood?"}], add_generation_prompt=True, return_dict=False
)
print(generate(model, tokenizer, prompt=prompt, max_tokens=12))
