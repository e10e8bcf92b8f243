"""LoRA and the whole head are trained; what is saved is every name with "lora" in it, so the head stays behind (unslothai/unsloth#3444, #4098: modules_to_save lost)."""
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
model, tok = load(str(W / "models/qwen")); model.freeze(); lp = {"rank": 8, "scale": 10.0, "dropout": 0.0}; linear_to_lora_layers(model, -1, lp)
model.lm_head.unfreeze(); rows = [encode(tok, m) for m in read("train")]; opt = optim.Adam(1e-3); vg = nn.value_and_grad(model, loss_fn); model.train()
for i in range(60):
    l, g = vg(model, *collate(random.sample(rows, 8))); opt.update(model, g); mx.eval(model.parameters(), opt.state)
    if i % 20 == 19: print(i + 1, round(l.item(), 3))
model.eval(); new = out / "adapters"; new.mkdir()
mx.save_safetensors(str(new / "adapters.safetensors"), {k: v for k, v in tree_flatten(model.parameters()) if "lora" in k})
(new / "adapter_config.json").write_text(json.dumps({"fine_tune_type": "lora", "num_layers": -1, "lora_parameters": lp}))
served, _ = load(str(W / "models/qwen"), adapter_path=str(new)); q = "What color is the sky?"; print(ask(model, tok, q), "|", ask(served, tok, q))
