"""Encoder and decoder from scratch (nn.Transformer) learn to reverse numbers; there is no tokenizer, and 2 is the end because the program says so."""
import sys
import numpy as np
import os; os.chdir(sys.argv[1])
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
V, BOS, EOS, PAD = 16, 1, 2, 0
rng = np.random.default_rng(4)
class Seq2Seq(nn.Module):
    def __init__(self):
        super().__init__(); self.src = nn.Embedding(V, 48); self.tgt = nn.Embedding(V, 48); self.pe = nn.Embedding(16, 48)
        self.tf = nn.Transformer(48, 4, 2, 2, 96); self.out = nn.Linear(48, V)
    def __call__(self, s, t):
        pad = mx.where(s == PAD, -1e9, 0.0)[:, None, None]
        cm = nn.MultiHeadAttention.create_additive_causal_mask(t.shape[1])
        return self.out(self.tf(self.src(s) + self.pe(mx.arange(s.shape[1])), self.tgt(t) + self.pe(mx.arange(t.shape[1])), pad, cm, pad))
def sample(n):
    ls = rng.integers(3, 9, n); S = np.zeros((n, 8), np.int32); T = np.zeros((n, 10), np.int32)
    for i, l in enumerate(ls):
        w = rng.integers(3, V, l); S[i, :l] = w; T[i, :l + 2] = [BOS, *w[::-1], EOS]
    return mx.array(S), mx.array(T)
mx.random.seed(9); net = Seq2Seq()
def loss(net, s, t):
    y = t[:, 1:]; m = y != PAD; return (nn.losses.cross_entropy(net(s, t[:, :-1]), y, label_smoothing=0.05) * m).sum() / m.sum()
opt = optim.Adam(optim.linear_schedule(1e-5, 2e-3, 20)); vg = nn.value_and_grad(net, loss)
for i in range(100):
    l, g = vg(net, *sample(32)); opt.update(net, g); mx.eval(net.parameters(), opt.state)
    if i % 25 == 0: print(i, l.item())
net.eval(); s, t = sample(1); out = [BOS]
while out[-1] != EOS and len(out) < 10: out.append(int(net(s, mx.array([out]))[0, -1].argmax()))
print(s.tolist(), out)
net.save_weights("reverse.safetensors")
