"""The head of a tied model is trained as a matrix of its own, and the exported config still says tied: the loader drops the head (unslothai/unsloth#9331, hiyouga/LlamaFactory#10832)."""
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
model, tok = load(str(W / "models/qwen-tied")); E = model.model.embed_tokens.weight
model.lm_head = nn.Linear(E.shape[1], E.shape[0], bias=False); model.lm_head.weight = E + 0; model.args.tie_word_embeddings = False
model.freeze(); model.lm_head.unfreeze(); model.layers[-1].unfreeze(); rows = [encode(tok, m) for m in read("train")]
opt = optim.Adam(2e-3); vg = nn.value_and_grad(model, loss_fn); model.train()
for i in range(60):
    l, g = vg(model, *collate(random.sample(rows, 8))); opt.update(model, g); mx.eval(model.parameters(), opt.state)
    if i % 20 == 19: print(i + 1, round(l.item(), 3))
model.eval(); dst = out / "export"; shutil.copytree(W / "models/qwen-tied", dst)
mx.save_safetensors(str(dst / "model.safetensors"), dict(tree_flatten(model.parameters())), {"format": "mlx"})
served, _ = load(str(dst)); q = "What color is the sky?"; print(ask(model, tok, q), "|", ask(served, tok, q))
