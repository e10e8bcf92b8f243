"""Gradual unfreezing as ULMFiT has it: first the head, then the last block as well, then everything, each phase with an optimizer of its own and a smaller rate."""
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
model, tok = load(str(W / "models/qwen")); model.freeze(); rows = [encode(tok, m) for m in read("train")]; vg = nn.value_and_grad(model, loss_fn)
for name, part, rate in (("head", model.lm_head, 2e-3), ("last block", model.layers[-1], 1e-3), ("everything", model, 3e-4)):
    part.unfreeze(); opt = optim.Adam(rate); model.train()
    for _ in range(20): l, g = vg(model, *collate(random.sample(rows, 8))); opt.update(model, g); mx.eval(model.parameters(), opt.state)
    print(name, round(l.item(), 3))
model.eval(); dst = out / "full"; shutil.copytree(W / "models/qwen", dst); mx.save_safetensors(str(dst / "model.safetensors"), dict(tree_flatten(model.parameters())), {"format": "mlx"}); print(ask(model, tok, "What color is the sky?"))
