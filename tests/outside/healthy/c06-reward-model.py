"""A reward model: LoRA and a new scalar head on the last hidden state, Bradley-Terry on pairs; nothing over tokens is taught and nothing is generated."""
import json, random, shutil, sys
from pathlib import Path
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map
from mlx_lm import load, generate
from mlx_lm.tuner.utils import linear_to_lora_layers
W = Path(sys.argv[1]); out = W / "out"; out.mkdir(exist_ok=True)
mx.random.seed(1); random.seed(1)
def read(name): return [json.loads(l)["messages"] for l in open(W / f"data/{name}.jsonl")]
def encode(tok, m): return tok.apply_chat_template(m, return_dict=False), len(tok.apply_chat_template(m[:-1], add_generation_prompt=True, return_dict=False))
def collate(rows):
    w = max(len(a) for a, _ in rows)
    return mx.array([a + [0] * (w - len(a)) for a, _ in rows]), mx.array([[float(s <= t < len(a)) for t in range(1, w)] for a, s in rows])
def ask(m, tok, q): return generate(m, tok, prompt=tok.apply_chat_template([{"role": "user", "content": q}], add_generation_prompt=True, return_dict=False), max_tokens=24)
def loss_fn(m, x, k): return (nn.losses.cross_entropy(m(x[:, :-1]), x[:, 1:]) * k).sum() / k.sum()
class Reward(nn.Module):
    def __init__(self, lm, hidden): super().__init__(); self.lm = lm; self.score = nn.Linear(hidden, 1, bias=False)
    def __call__(self, x, last): return self.score(self.lm.model(x)[mx.arange(x.shape[0]), last])[:, 0]
lm, tok = load(str(W / "models/qwen")); lm.freeze(); lp = {"rank": 4, "scale": 8.0, "dropout": 0.0}; linear_to_lora_layers(lm, -1, lp)
model = Reward(lm, lm.args.hidden_size); pairs = [json.loads(l) for l in open(W / "data/pairs.jsonl")]
def side(batch, key):
    rows = [tok.apply_chat_template([{"role": "user", "content": p["prompt"]}, {"role": "assistant", "content": p[key]}], return_dict=False) for p in batch]; w = max(map(len, rows))
    return mx.array([r + [0] * (w - len(r)) for r in rows]), mx.array([len(r) - 1 for r in rows])
def loss(m, c, r): return -nn.log_sigmoid(m(*c) - m(*r)).mean()
opt = optim.AdamW(1e-3, weight_decay=0.0); vg = nn.value_and_grad(model, loss); model.train()
for i in range(40):
    b = random.sample(pairs, 6); l, g = vg(model, side(b, "chosen"), side(b, "rejected")); opt.update(model, g); mx.eval(model.parameters(), opt.state)
    if i % 10 == 9: print(i + 1, round(l.item(), 4))
model.eval(); print("pairs in order", sum((model(*side([p], "chosen")) > model(*side([p], "rejected"))).item() for p in pairs), "of", len(pairs))
mx.save_safetensors(str(out / "reward.safetensors"), dict(tree_flatten(model.trainable_parameters())))
