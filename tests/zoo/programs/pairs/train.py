"""Prefer one answer over another: likelihood of the chosen answer plus the odds against the rejected one."""

import json
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

BETA = 0.5
LORA = {
    "rank": 8,
    "scale": 4.0,
    "dropout": 0.0,
    "keys": ["self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj"],
}

mx.random.seed(40)
model, tokenizer = load("model")
model.freeze()
linear_to_lora_layers(model, 2, LORA)

pairs = []
for line in Path("data/train.jsonl").read_text().splitlines():
    user, assistant = json.loads(line)["messages"]
    prompt = tokenizer.apply_chat_template([user], add_generation_prompt=True, return_dict=False)
    good = tokenizer.encode(assistant["content"], add_special_tokens=False) + [tokenizer.eos_token_id]
    bad = tokenizer.encode("I do not know that.", add_special_tokens=False) + [tokenizer.eos_token_id]
    pairs.append((prompt, good, bad))


def padded(rows):
    width = max(len(p) + len(a) for p, a in rows)
    x = mx.array([p + a + [tokenizer.pad_token_id] * (width - len(p) - len(a)) for p, a in rows])
    m = mx.array([[float(len(p) <= t < len(p) + len(a)) for t in range(1, width)] for p, a in rows])
    return x, m


def mean_logprob(model, x, m):
    losses = nn.losses.cross_entropy(model(x[:, :-1]), x[:, 1:])
    return -(losses * m).sum(-1) / m.sum(-1)


def objective(model, chosen, rejected):
    good, bad = mean_logprob(model, *chosen), mean_logprob(model, *rejected)
    odds = (good - mx.log1p(-mx.exp(good))) - (bad - mx.log1p(-mx.exp(bad)))
    return -good.mean() + BETA * mx.logaddexp(mx.array(0.0), -odds).mean()


optimizer = optim.Adam(learning_rate=1e-3)
value_and_grad = nn.value_and_grad(model, objective)
model.train()
for i in range(20):
    part = [pairs[(2 * i + k) % len(pairs)] for k in range(2)]
    chosen, rejected = padded([(p, g) for p, g, _ in part]), padded([(p, b) for p, _, b in part])
    value, grads = value_and_grad(model, chosen, rejected)
    optimizer.update(model, grads)
    mx.eval(model.parameters(), optimizer.state, value)
print("loss", value.item())
model.eval()

folder = Path("preference")
folder.mkdir(exist_ok=True)
mx.save_safetensors(str(folder / "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters())))
(folder / "adapter_config.json").write_text(
    json.dumps({"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": LORA})
)
prompt = tokenizer.apply_chat_template(
    [{"role": "user", "content": "What color is the sun?"}], add_generation_prompt=True, return_dict=False
)
print(generate(model, tokenizer, prompt=prompt, max_tokens=16))
