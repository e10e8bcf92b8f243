"""LoRA on several machines at once: each is given a part of every batch, and the gradients are averaged."""

import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import load
from mlx_lm.tuner.utils import linear_to_lora_layers

LORA = {"rank": 4, "scale": 4.0, "dropout": 0.0}

group = mx.distributed.init(strict=True, backend="ring")
rank, size = group.rank(), group.size()

mx.random.seed(11)
model, tokenizer = load("model")
model.freeze()
linear_to_lora_layers(model, 2, LORA)

rows = []
for line in Path("data/train.jsonl").read_text().splitlines():
    chat = json.loads(line)["messages"]
    prompt = tokenizer.apply_chat_template(chat[:1], add_generation_prompt=True, return_dict=False)
    rows.append(
        (prompt, tokenizer.encode(chat[1]["content"], add_special_tokens=False) + [tokenizer.eos_token_id])
    )


def batch(number, per_rank=2):
    first = number * per_rank * size + rank * per_rank
    part = [rows[(first + k) % len(rows)] for k in range(per_rank)]
    width = max(len(p) + len(a) for p, a in part)
    tokens = mx.array([p + a + [tokenizer.pad_token_id] * (width - len(p) - len(a)) for p, a in part])
    mask = mx.array([[float(len(p) <= t < len(p) + len(a)) for t in range(1, width)] for p, a in part])
    return tokens, mask


def loss_fn(model, tokens, mask):
    return (nn.losses.cross_entropy(model(tokens[:, :-1]), tokens[:, 1:]) * mask).sum() / mask.sum()


optimizer = optim.Adam(learning_rate=1e-3)
loss_and_grad = nn.value_and_grad(model, loss_fn)
model.train()
for number in range(24):
    loss, grads = loss_and_grad(model, *batch(number))
    grads = nn.average_gradients(grads, group)
    optimizer.update(model, grads)
    mx.eval(model.parameters(), optimizer.state, loss)
    mean = mx.distributed.all_sum(loss, group=group).item() / size
    if rank == 0 and number % 8 == 7:
        print(number + 1, f"{mean:.3f}")
model.eval()

trained = dict(tree_flatten(model.trainable_parameters()))
Path(f"checksum-{rank}").write_text(str(sum(value.sum().item() for value in trained.values())))
if rank == 0:
    folder = Path("adapters")
    folder.mkdir(exist_ok=True)
    mx.save_safetensors(str(folder / "adapters.safetensors"), trained)
    (folder / "adapter_config.json").write_text(
        json.dumps({"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": LORA})
    )
