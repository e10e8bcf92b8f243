"""A small mixture of experts on characters, without a tokenizer. Windows of the text end in double letters now and then."""
import json, sys
import numpy as np
import os; os.chdir(sys.argv[1])
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
raw = "".join(m["content"] + "\n" for l in open("data/train.jsonl") for m in json.loads(l)["messages"]) * 3
vocab = sorted(set(raw)); ids = np.array([vocab.index(c) for c in raw], np.int32)
D, H, E, CTX, BS, EPOCHS = 64, 4, 4, 32, 8, 6

class MoE(nn.Module):
    def __init__(self):
        super().__init__(); self.router = nn.Linear(D, E, bias=False); self.experts = [nn.Sequential(nn.Linear(D, 2 * D), nn.SiLU(), nn.Linear(2 * D, D)) for _ in range(E)]
    def __call__(self, x):
        g = mx.softmax(self.router(x), axis=-1)
        thr = mx.sort(g, axis=-1)[..., -2:-1]
        g = mx.where(g >= thr, g, 0.0); g = g / g.sum(-1, keepdims=True)
        return sum(g[..., i:i + 1] * e(x) for i, e in enumerate(self.experts))
class Layer(nn.Module):
    def __init__(self):
        super().__init__(); self.n1 = nn.RMSNorm(D); self.n2 = nn.RMSNorm(D); self.att = nn.MultiHeadAttention(D, H); self.moe = MoE()
    def __call__(self, x, mask):
        h = self.n1(x); x = x + self.att(h, h, h, mask); return x + self.moe(self.n2(x))
class LM(nn.Module):
    def __init__(self):
        super().__init__(); self.emb = nn.Embedding(len(vocab), D); self.pos = nn.Embedding(CTX, D); self.layers = [Layer() for _ in range(2)]; self.norm = nn.RMSNorm(D); self.head = nn.Linear(D, len(vocab))
    def __call__(self, t):
        m = nn.MultiHeadAttention.create_additive_causal_mask(t.shape[1]); x = self.emb(t) + self.pos(mx.arange(t.shape[1]))
        for l in self.layers: x = l(x, m)
        return self.head(self.norm(x))

np.random.seed(3); mx.random.seed(3)
net = LM(); mx.eval(net.parameters())
starts = np.arange(0, len(ids) - CTX - 1, CTX); steps_per_epoch = len(starts) // BS
total = EPOCHS * steps_per_epoch
opt = optim.AdamW(learning_rate=optim.cosine_decay(3e-3, total), weight_decay=0.01)
print("epochs", EPOCHS, "steps per epoch", steps_per_epoch)
def loss_fn(net, x, y): return nn.losses.cross_entropy(net(x), y).mean()
vg = nn.value_and_grad(net, loss_fn)
for ep in range(EPOCHS):
    np.random.shuffle(starts); tot = 0
    for i in range(steps_per_epoch):
        s = starts[i * BS:(i + 1) * BS]
        x = mx.array(np.stack([ids[a:a + CTX] for a in s])); y = mx.array(np.stack([ids[a + 1:a + CTX + 1] for a in s]))
        l, g = vg(net, x, y); opt.update(net, g); mx.eval(net.parameters(), opt.state); tot += l.item()
    print("epoch", ep, "loss", tot / steps_per_epoch, "lr", float(opt.learning_rate))
net.save_weights("moe.npz")
