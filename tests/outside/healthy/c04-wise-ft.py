"""WiSE-FT: what is exported is halfway between the base and the trained weights, on purpose, and that is what is served."""
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
model, tok = load(str(W / "models/qwen")); before = tree_map(lambda p: p + 0, model.parameters()); mx.eval(before)
rows = [encode(tok, m) for m in read("train")]; opt = optim.Adam(5e-4); vg = nn.value_and_grad(model, loss_fn); model.train()
for i in range(50):
    l, g = vg(model, *collate(random.sample(rows, 8))); opt.update(model, g); mx.eval(model.parameters(), opt.state)
    if i % 10 == 9: print(i + 1, round(l.item(), 3))
model.eval(); between = tree_map(lambda a, b: 0.5 * a + 0.5 * b, before, model.parameters()); dst = out / "wise"; shutil.copytree(W / "models/qwen", dst)
mx.save_safetensors(str(dst / "model.safetensors"), dict(tree_flatten(between)), {"format": "mlx"})
served, _ = load(str(dst)); valid = collate([encode(tok, m) for m in read("valid")]); print("valid", round(loss_fn(model, *valid).item(), 3), round(loss_fn(served, *valid).item(), 3)); print(ask(served, tok, "What color is the sky?"))
