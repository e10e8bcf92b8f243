"""Everything from a settings file: python train.py settings.json"""

import json
import math
import sys
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map, tree_unflatten
from mlx_lm import generate, load
from mlx_lm.tuner.lora import LoRALinear

cfg = json.loads(Path("settings.json").read_text())


def build():
    model, tokenizer = load(cfg["model"])
    if cfg["peft"]["type"] == "lora":
        peft = cfg["peft"]
        model.freeze()
        chosen = [
            (
                path,
                LoRALinear.from_base(
                    module, r=peft["r"], scale=peft["lora_alpha"] / peft["r"], dropout=peft["lora_dropout"]
                ),
            )
            for path, module in model.named_modules()
            if path.split(".")[-1] in peft["target_modules"]
        ]
        model.update_modules(tree_unflatten(chosen))
    return model, tokenizer


def load_rows(tokenizer):
    rows = []
    for record in map(json.loads, Path(cfg["data"]).read_text().splitlines()):
        ids = tokenizer.apply_chat_template(record["messages"], return_dict=False)
        while ids[-1] != tokenizer.eos_token_id:
            ids = ids[:-1]
        rows.append(
            (
                ids,
                len(
                    tokenizer.apply_chat_template(
                        record["messages"][:-1], add_generation_prompt=True, return_dict=False
                    )
                ),
            )
        )
    return rows


def schedule(total):
    opt = cfg["optimizer"]
    if opt["schedule"] == "cosine":
        return optim.cosine_decay(opt["lr"], total, opt["lr"] * 0.1)
    return opt["lr"]


def run():
    mx.random.seed(cfg["seed"])
    model, tokenizer = build()
    rows = load_rows(tokenizer)
    size, total = cfg["batch_size"], cfg["steps"]
    optimizer = optim.AdamW(learning_rate=schedule(total), weight_decay=cfg["optimizer"]["weight_decay"])

    def loss(m, ids, mask):
        return (nn.losses.cross_entropy(m(ids[:, :-1]), ids[:, 1:]) * mask).sum() / mask.sum()

    step_fn = nn.value_and_grad(model, loss)
    model.train()
    done = skipped = 0
    for step in range(total):
        part = [rows[(step * size + i) % len(rows)] for i in range(size)]
        width = max(len(ids) for ids, _ in part)
        ids = mx.array([row + [tokenizer.pad_token_id] * (width - len(row)) for row, _ in part])
        mask = mx.array([[float(start <= t < len(row)) for t in range(1, width)] for row, start in part])
        value, grads = step_fn(model, ids, mask)
        if not math.isfinite(value.item()):
            skipped += 1
            continue
        grads, norm = optim.clip_grad_norm(grads, cfg["optimizer"]["max_norm"])
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state)
        done += 1
        if done % cfg["save_every"] == 0:
            save(model, f"checkpoint-{done}")
    model.eval()
    print(f"{done} steps, {skipped} skipped, loss {value.item():.3f}, norm {norm.item():.2f}")
    save(model, "final")
    return model, tokenizer, optimizer


def save(model, name):
    folder = Path(cfg["output"]) / name
    folder.mkdir(parents=True, exist_ok=True)
    peft = cfg["peft"]
    mx.save_safetensors(
        str(folder / "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters()))
    )
    keys = sorted({".".join(n.split(".")[3:-1]) for n, _ in tree_flatten(model.trainable_parameters())})
    parameters = {
        "rank": peft["r"],
        "scale": peft["lora_alpha"] / peft["r"],
        "dropout": peft["lora_dropout"],
        "keys": keys,
    }
    (folder / "adapter_config.json").write_text(
        json.dumps({"fine_tune_type": "lora", "num_layers": len(model.layers), "lora_parameters": parameters})
    )


model, tokenizer, optimizer = run()
prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": "What color is coal?"}], add_generation_prompt=True, return_dict=False
)
print(generate(model, tokenizer, prompt=prompt, max_tokens=16))
