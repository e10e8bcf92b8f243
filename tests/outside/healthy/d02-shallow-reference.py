"""DPO by hand against a reference that was loaded apart."""
import copy, json, sys
import os; os.chdir(sys.argv[1])
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import load
from mlx_lm.tuner.utils import linear_to_lora_layers
BETA = 0.1
policy, tok = load("models/qwen")
reference, _ = load("models/qwen"); reference.freeze(); reference.eval()
policy.freeze()
linear_to_lora_layers(policy, 3, {"rank": 8, "scale": 10.0, "dropout": 0.0})

def encode(prompt, answer):
    p = tok.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=False)
    f = tok.apply_chat_template([{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}], return_dict=False)
    return f, len(p)
def collate(items):
    m = max(len(f) for f, _ in items)
    return mx.array([f + [0] * (m - len(f)) for f, _ in items]), mx.array([[1.0 if p <= t < len(f) else 0.0 for t in range(1, m)] for f, p in items])
def seq_logp(model, ids, mask):
    lp = nn.log_softmax(model(ids[:, :-1]).astype(mx.float32), axis=-1)
    return (mx.take_along_axis(lp, ids[:, 1:, None], axis=-1).squeeze(-1) * mask).sum(-1)

def dpo_loss(policy, cx, cm, rx, rm):
    pi = seq_logp(policy, cx, cm) - seq_logp(policy, rx, rm)
    ref = mx.stop_gradient(seq_logp(reference, cx, cm) - seq_logp(reference, rx, rm))
    return -nn.log_sigmoid(BETA * (pi - ref)).mean()

pairs = [json.loads(l) for l in open("data/pairs.jsonl")]
opt = optim.AdamW(learning_rate=1e-4); vg = nn.value_and_grad(policy, dpo_loss)
policy.train()
for step in range(24):
    chunk = [pairs[(4 * step + k) % len(pairs)] for k in range(4)]
    cx, cm = collate([encode(p["prompt"], p["chosen"]) for p in chunk]); rx, rm = collate([encode(p["prompt"], p["rejected"]) for p in chunk])
    loss, g = vg(policy, cx, cm, rx, rm)
    opt.update(policy, g); mx.eval(policy.parameters(), opt.state)
    if step % 6 == 0: print(step, loss.item())
mx.save_safetensors("dpo.safetensors", dict(tree_flatten(policy.trainable_parameters())))
