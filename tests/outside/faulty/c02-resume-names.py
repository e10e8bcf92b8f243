"""Training goes on from an adapter whose names carry a PEFT prefix; load_weights(strict=False) takes nothing and says nothing (ml-explore/mlx-lm: --resume-adapter-file loads with strict=False)."""
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
src = W / "adapters/pirate"; away = out / "from-elsewhere"; away.mkdir()
mx.save_safetensors(str(away / "adapters.safetensors"), {"base_model.model." + k: v for k, v in mx.load(str(src / "adapters.safetensors")).items()})
shutil.copy(src / "adapter_config.json", away); cfg = json.loads((away / "adapter_config.json").read_text())
model, tok = load(str(W / "models/qwen")); model.freeze(); linear_to_lora_layers(model, -1, cfg["lora_parameters"])
print("resuming from", away.name); model.load_weights(str(away / "adapters.safetensors"), strict=False)
rows = [encode(tok, m) for m in read("train")]; opt = optim.Adam(2e-4); vg = nn.value_and_grad(model, loss_fn); model.train()
for i in range(12):
    l, g = vg(model, *collate(random.sample(rows, 8))); opt.update(model, g); mx.eval(model.parameters(), opt.state)
    if i % 4 == 3: print(i + 1, round(l.item(), 3))
model.eval(); new = out / "adapters"; new.mkdir(); shutil.copy(away / "adapter_config.json", new)
mx.save_safetensors(str(new / "adapters.safetensors"), dict(tree_flatten(model.trainable_parameters()))); print(ask(model, tok, "What color is the sky?"))
