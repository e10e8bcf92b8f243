"""Train an adapter in two sittings: save after the first, take it up again in the second."""

import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_unflatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers, load_adapters

FOLDER = Path("run")
LORA = {
    "rank": 8,
    "scale": 5.0,
    "dropout": 0.0,
    "keys": ["self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj"],
}
RATE = 1e-3


def examples(tokenizer):
    for line in Path("data/train.jsonl").read_text().splitlines():
        messages = json.loads(line)["messages"]
        prompt = tokenizer.apply_chat_template(messages[:1], add_generation_prompt=True, return_dict=False)
        yield (
            prompt,
            tokenizer.encode(messages[1]["content"], add_special_tokens=False) + [tokenizer.eos_token_id],
        )


def make_batch(rows, pad):
    width = max(len(p) + len(a) for p, a in rows)
    tokens = [p + a + [pad] * (width - len(p) - len(a)) for p, a in rows]
    mask = [[0.0] * (len(p) - 1) + [1.0] * len(a) + [0.0] * (width - len(p) - len(a)) for p, a in rows]
    return mx.array(tokens), mx.array(mask)


def fit(model, tokenizer, optimizer, steps, first=0):
    data = list(examples(tokenizer))

    def loss(model, tokens, mask):
        losses = nn.losses.cross_entropy(model(tokens[:, :-1]), tokens[:, 1:])
        return (losses * mask).sum() / mask.sum()

    value_and_grad = nn.value_and_grad(model, loss)
    model.train()
    for i in range(first, first + steps):
        rows = [data[(3 * i + k) % len(data)] for k in range(3)]
        value, grads = value_and_grad(model, *make_batch(rows, tokenizer.pad_token_id))
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state)
    print(f"after step {first + steps}: {value.item():.3f}")
    model.eval()


def save(model, optimizer):
    FOLDER.mkdir(exist_ok=True)
    weights = {k: v for k, v in tree_flatten(model.parameters()) if k.endswith(("lora_a", "lora_b"))}
    mx.save_safetensors(str(FOLDER / "adapters.safetensors"), weights)
    config = {"fine_tune_type": "lora", "num_layers": -1, "lora_parameters": LORA}
    (FOLDER / "adapter_config.json").write_text(json.dumps(config))
    mx.save_safetensors(str(FOLDER / "optimizer.safetensors"), dict(tree_flatten(optimizer.state)))


def first_sitting():
    model, tokenizer = load("model")
    model.freeze()
    linear_to_lora_layers(model, -1, LORA)
    optimizer = optim.Adam(learning_rate=RATE)
    fit(model, tokenizer, optimizer, steps=14)
    save(model, optimizer)


def second_sitting():
    model, tokenizer = load("model")
    model.freeze()
    load_adapters(model, str(FOLDER))
    optimizer = optim.Adam(learning_rate=RATE)
    optimizer.state = tree_unflatten(list(mx.load(str(FOLDER / "optimizer.safetensors")).items()))
    fit(model, tokenizer, optimizer, steps=14, first=14)
    save(model, optimizer)
    return model, tokenizer, optimizer


mx.random.seed(4)
first_sitting()
model, tokenizer, optimizer = second_sitting()
prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": "What color is blood?"}], add_generation_prompt=True, return_dict=False
)
print(generate(model, tokenizer, prompt=prompt, max_tokens=20))
