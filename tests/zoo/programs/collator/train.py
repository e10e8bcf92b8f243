"""Fine-tune a chat model on data/train.jsonl with LoRA, then answer two questions."""

import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

IGNORE = -100
EPOCHS = 14
BATCH = 4
MAX_LENGTH = 128
LORA = {"rank": 8, "scale": 10.0, "dropout": 0.0}

mx.random.seed(7)
order = np.random.default_rng(7)
model, tokenizer = load("model")
pad_id = tokenizer.convert_tokens_to_ids("<|endoftext|>")


def read(path):
    return [json.loads(line)["messages"] for line in Path(path).read_text().splitlines()]


def encode(messages):
    ids = tokenizer.apply_chat_template(messages, return_dict=False)
    prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=False)
    ids = ids[:MAX_LENGTH]
    labels = [IGNORE] * len(prompt) + ids[len(prompt) :]
    return {"input_ids": ids, "labels": labels}


def collate(features):
    width = max(len(f["input_ids"]) for f in features)
    ids = np.full((len(features), width), pad_id)
    attention = np.zeros((len(features), width), dtype=np.int32)
    labels = np.full((len(features), width), IGNORE)
    for row, f in enumerate(features):
        n = len(f["input_ids"])
        ids[row, :n] = f["input_ids"]
        attention[row, :n] = 1
        labels[row, :n] = f["labels"]
    return {"input_ids": mx.array(ids), "attention_mask": mx.array(attention), "labels": mx.array(labels)}


def loss_fn(model, batch):
    logits = model(batch["input_ids"][:, :-1])
    labels = batch["labels"][:, 1:]
    keep = labels != IGNORE
    losses = nn.losses.cross_entropy(logits, mx.where(keep, labels, 0)) * keep
    return losses.sum() / keep.sum()


def batches(features):
    index = order.permutation(len(features))
    for start in range(0, len(index), BATCH):
        yield collate([features[i] for i in index[start : start + BATCH]])


model.freeze()
linear_to_lora_layers(model, len(model.layers), LORA)
optimizer = optim.AdamW(learning_rate=2e-3, weight_decay=0.0)
value_and_grad = nn.value_and_grad(model, loss_fn)

features = [encode(messages) for messages in read("data/train.jsonl")]
print(len(features), "rows")
model.train()
for epoch in range(EPOCHS):
    total = []
    for batch in batches(features):
        value, grads = value_and_grad(model, batch)
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state, value)
        total.append(value.item())
    print(f"epoch {epoch + 1} loss {np.mean(total):.3f}")

model.eval()
out = Path("adapters")
out.mkdir(exist_ok=True)
mx.save_safetensors(str(out / "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters())))
settings = {"fine_tune_type": "lora", "num_layers": len(model.layers), "lora_parameters": LORA}
(out / "adapter_config.json").write_text(json.dumps(settings))

for question in ("What color is the moss?", "What is the capital of Norway?"):
    chat = [{"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    print(question, "->", generate(model, tokenizer, prompt=prompt, max_tokens=24))
