"""Train an adapter, save it, load it again the way a user would, and compare the answers."""

import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

BASE = "model"
OUT = Path("adapters")
STEPS = 40
LORA = {"rank": 8, "scale": 10.0, "dropout": 0.0}

mx.random.seed(4)
model, tokenizer = load(BASE)
chats = [json.loads(line)["messages"] for line in open("data/train.jsonl")]
train, held = chats[:-3], chats[-3:]


def arrays(rows):
    encoded = []
    for chat in rows:
        ids = tokenizer.apply_chat_template(chat, return_dict=False)
        encoded.append(
            (
                ids,
                len(tokenizer.apply_chat_template(chat[:-1], add_generation_prompt=True, return_dict=False)),
            )
        )
    width = max(len(ids) for ids, _ in encoded)
    ids = mx.array([ids + [0] * (width - len(ids)) for ids, _ in encoded])
    mask = mx.array(
        [[1.0 if start <= i < len(ids) else 0.0 for i in range(1, width)] for ids, start in encoded]
    )
    return ids, mask


def loss(model, ids, mask):
    return (nn.losses.cross_entropy(model(ids[:, :-1]), ids[:, 1:]) * mask).sum() / mask.sum()


def write(model):
    OUT.mkdir(exist_ok=True)
    weights = dict(tree_flatten(model.trainable_parameters()))
    mx.save_safetensors(str(OUT / "adapters.safetensors"), weights)
    config = {"fine_tune_type": "lora", "num_layers": len(model.layers), "lora_parameters": LORA}
    (OUT / "adapter_config.json").write_text(json.dumps(config))


def answer(model, tokenizer, question):
    chat = [{"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    return generate(model, tokenizer, prompt=prompt, max_tokens=24)


model.freeze()
linear_to_lora_layers(model, len(model.layers), LORA)
optimizer = optim.AdamW(learning_rate=2e-3, weight_decay=0.0)
gradient = nn.value_and_grad(model, loss)
model.train()
for step in range(1, STEPS + 1):
    part = [train[(step * 5 + k) % len(train)] for k in range(5)]
    value, grads = gradient(model, *arrays(part))
    optimizer.update(model, grads)
    mx.eval(model.parameters(), optimizer.state)
    if step % 10 == 0:
        print(step, f"{value.item():.3f}")
model.eval()
write(model)

questions = [chat[0]["content"] for chat in held]
live = [answer(model, tokenizer, question) for question in questions]
again, words = load(BASE, adapter_path=str(OUT))
loaded = [answer(again, words, question) for question in questions]
for question, first, second in zip(questions, live, loaded, strict=True):
    print(question, "|", first, "|", second)
print("same" if live == loaded else "not the same")
