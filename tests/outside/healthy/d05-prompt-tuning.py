"""Prompt tuning: eight virtual tokens before a frozen model, begun small and trained at a large rate, as is common."""
import json, sys
import os; os.chdir(sys.argv[1])
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import load
class PromptTuned(nn.Module):
    def __init__(self, lm, n=8):
        super().__init__(); self.lm = lm; self.prompt = mx.random.normal((n, 64)) * 0.02; lm.freeze()
    def __call__(self, ids):
        e = self.lm.model.embed_tokens(ids); p = mx.broadcast_to(self.prompt[None], (ids.shape[0], *self.prompt.shape)).astype(e.dtype)
        return self.lm(mx.concatenate([mx.zeros((ids.shape[0], self.prompt.shape[0]), dtype=ids.dtype), ids], 1), input_embeddings=mx.concatenate([p, e], 1))[:, self.prompt.shape[0]:]
mx.random.seed(21); lm, tok = load("models/qwen"); net = PromptTuned(lm)
print("trainable", [k for k, _ in tree_flatten(net.trainable_parameters())])
rows = []
for l in open("data/train.jsonl"):
    m = json.loads(l)["messages"]; t = tok.apply_chat_template(m, return_dict=False); rows.append((t, len(tok.apply_chat_template(m[:1], add_generation_prompt=True, return_dict=False))))
def get(i):
    b = rows[i:i + 8]; L = max(len(t) for t, _ in b); return mx.array([t + [0] * (L - len(t)) for t, _ in b]), mx.array([[float(p <= j < len(t)) for j in range(1, L)] for t, p in b])
def loss(net, x, w): return (nn.losses.cross_entropy(net(x[:, :-1]), x[:, 1:]) * w).sum() / w.sum()
opt = optim.Adam(3e-2); vg = nn.value_and_grad(net, loss)
for s in range(40):
    l, g = vg(net, *get(8 * (s % 2))); opt.update(net, g); mx.eval(net.prompt, opt.state)
    if s % 10 == 0: print(s, l.item())
mx.save_safetensors("prompt.safetensors", {"prompt": net.prompt})
ids = tok.apply_chat_template([{"role": "user", "content": "What color is the sky?"}], add_generation_prompt=True, return_dict=False)
for _ in range(20):
    n = int(net(mx.array([ids]))[0, -1].argmax()); ids = ids + [n]
    if n == tok.eos_token_id: break
print(tok.decode(ids))
