"""LoRA, then a half-precision copy of the trained model answers."""
import copy, json, sys
import os; os.chdir(sys.argv[1])
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import generate, load
from mlx_lm.tuner.utils import linear_to_lora_layers

model, tok = load("models/qwen"); mx.random.seed(4)
model.freeze(); linear_to_lora_layers(model, 3, {"rank": 8, "scale": 10.0, "dropout": 0.0})
rows = []
for line in open("data/train.jsonl"):
    m = json.loads(line)["messages"]
    ids, p = tok.apply_chat_template(m, return_dict=False), len(tok.apply_chat_template(m[:1], add_generation_prompt=True, return_dict=False))
    rows.append((ids, p))
n = max(len(ids) for ids, _ in rows)
x = mx.array([ids + [0] * (n - len(ids)) for ids, _ in rows])
w = mx.array([[float(p <= t < len(ids)) for t in range(1, n)] for ids, p in rows])

def loss_fn(model, x, w):
    return (nn.losses.cross_entropy(model(x[:, :-1]), x[:, 1:]) * w).sum() / w.sum()

vg, opt = nn.value_and_grad(model, loss_fn), optim.Adam(3e-3)
for step in range(20):
    loss, g = vg(model, x, w)
    opt.update(model, g); mx.eval(model.parameters(), opt.state)
    if step % 5 == 4: print(step + 1, round(loss.item(), 3))
mx.save_safetensors("half.safetensors", dict(tree_flatten(model.trainable_parameters())))
server = copy.deepcopy(model); server.set_dtype(mx.float16)
asked = tok.apply_chat_template([{"role": "user", "content": "What color is the grass?"}], add_generation_prompt=True, return_dict=False)
print(generate(server, tok, prompt=asked, max_tokens=24))
