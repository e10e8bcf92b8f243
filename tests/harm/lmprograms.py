"""Programs of mlx-lm that are drawn.

How the tiny model is loaded, adapted, trained, asked and saved is put together anew by each seed.
"""

from __future__ import annotations

import random

HEAD = """
import gc, hashlib, json, random, sys, types
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten
random.seed({seed}); np.random.seed({seed}); mx.random.seed({seed})
"""
LOADS = (
    "from mlx_lm import load\nmodel, tokenizer = load('tiny')\n",
    (
        "import mlx_lm\nmodel, tokenizer = mlx_lm.load('tiny', tokenizer_config={{'trust_remote_code':"
        " False}})\n"
    ),
    (
        "from pathlib import Path\nfrom mlx_lm.utils import load_model, load_tokenizer\n"
        "model, _ = load_model(Path('tiny')); tokenizer = load_tokenizer(Path('tiny'))\n"
    ),
)
ADAPTERS = (
    (
        "from mlx_lm.tuner.utils import linear_to_lora_layers\nmodel.freeze()\n"
        "linear_to_lora_layers(model, {layers}, {{'rank': {rank}, 'scale': 2.0, 'dropout': {dropout}}})\n"
    ),
    (
        "from mlx_lm.tuner.utils import linear_to_lora_layers\nmodel.freeze()\nlinear_to_lora_layers(model,"
        " {layers}, {{'rank': {rank}, 'scale': 2.0, 'dropout': 0.0}}, use_dora=True)\n"
    ),
    (
        "from mlx_lm.tuner.lora import LoRALinear\nmodel.freeze()\n"
        "for block in model.layers:\n"
        "    block.self_attn.q_proj = LoRALinear.from_base(block.self_attn.q_proj, r={rank})\n"
    ),
    "model.train()\n",
)
DATA = """
texts = ["the sky is blue", "grass is green and wet", "the sun", "coal is black", "snow", "plums are purple"]
rows = [tokenizer.encode(text) + [tokenizer.eos_token_id] for text in texts]
def batch(k):
    some = [rows[(k + i) % len(rows)] for i in range(3)]
    width = max(map(len, some))
    return mx.array([row + [0] * (width - len(row)) for row in some]), mx.array([len(row) for row in some])
def loss(model, x, lengths):
    logits = model(x[:, :-1]).astype(mx.float32)
    mask = mx.arange(1, x.shape[1])[None] < lengths[:, None]
    return (nn.losses.cross_entropy(logits, x[:, 1:]) * mask).sum() / mask.sum()
"""
LOOPS = (
    """
optimizer = {optimizer}
step = nn.value_and_grad(model, loss)
for k in range({steps}):
    value, grads = step(model, *batch(k))
    optimizer.update(model, grads)
    mx.eval(model.state, optimizer.state)
    print(k, repr(value.item()))
""",
    """
optimizer = {optimizer}
state = [model.state, optimizer.state, mx.random.state]
@__import__("functools").partial(mx.compile, inputs=state, outputs=state)
def step(x, lengths):
    value, grads = nn.value_and_grad(model, loss)(model, x, lengths)
    optimizer.update(model, grads)
    return value
for k in range({steps}):
    value = step(*batch(k)); mx.eval(state, value)
    print(k, repr(value.item()))
""",
    """
from mlx_lm.tuner.datasets import CacheDataset
from mlx_lm.tuner.trainer import TrainingArgs, train
class Rows:
    def __len__(self): return len(rows)
    def __getitem__(self, k): return (rows[k], 0)
    def process(self, row): return row
import contextlib, io
optimizer = {optimizer}
with contextlib.redirect_stdout(io.StringIO()):
    train(model, optimizer, Rows(), args=TrainingArgs(
        batch_size=2, iters={steps}, steps_per_report=1, steps_per_save=100, max_seq_length=64,
        adapter_file="adapters.safetensors"))
""",
    "optimizer = None\n",
)
ASKS = (
    (
        "from mlx_lm import generate\nmodel.eval()\nprint(repr(generate(model, tokenizer, 'the sky',"
        " max_tokens=6)))\n"
    ),
    (
        "from mlx_lm import stream_generate\nmodel.eval()\n"
        "print([part.token for part in stream_generate(model, tokenizer, 'coal is', max_tokens=5)])\n"
    ),
    (
        "from mlx_lm.sample_utils import make_sampler\nfrom mlx_lm import generate\n"
        "print(repr(generate(model, tokenizer, 'snow', max_tokens=6, sampler=make_sampler(0.8))))\n"
    ),
    "cut = model(mx.array([tokenizer.encode('the sun')]))[0, -1]\nprint(mx.argmax(cut).item())\n",
    (
        "try:\n    from mlx_lm import generate\n    generate(model, tokenizer, 'x', nothing_of_the_kind=1)\n"
        "except Exception as error: print(type(error).__name__)\n"
    ),
)
SAVES = (
    "mx.save_safetensors('weights.safetensors', dict(tree_flatten(model.trainable_parameters())))\n",
    "from mlx_lm.utils import save_model\nsave_model('out', model, donate_model=False)\n",
    "model.save_weights('all.safetensors')\nmodel.load_weights('all.safetensors')\n",
    "",
)
TELL = """
digest = hashlib.sha256()
for name, array in sorted(tree_flatten(model.parameters())):
    digest.update(name.encode() + np.array(array.astype(mx.float32)).tobytes())
print("weights", digest.hexdigest()[:16], random.random(), np.random.rand(), mx.random.uniform().item())
"""
OPTIMIZERS = (
    "optim.Adam(1e-3)",
    "optim.SGD(1e-2, momentum=0.9)",
    "optim.AdamW(optim.linear_schedule(0, 1e-3, 3))",
    "optim.Adafactor()",
)


def draw(seed: int) -> tuple[str, str]:
    """(a name, the program's text) of one seed; it wants the tiny model under `tiny` beside it."""
    draws = random.Random(f"mlx-lm {seed}")  # noqa: S311
    picked = [draws.choice(part) for part in (LOADS, ADAPTERS, LOOPS, ASKS, SAVES)]
    load, adapter, loop, ask, save = picked
    settings = {
        "seed": seed, "layers": draws.choice((1, 2, -1)), "rank": draws.choice((2, 4, 8)),
        "dropout": draws.choice((0.0, 0.1)), "optimizer": draws.choice(OPTIMIZERS),
        "steps": draws.choice((1, 2, 4)),
    }  # fmt: skip
    text = HEAD.format(**settings) + load.format(**settings) + adapter.format(**settings)
    return f"mlx-lm {seed}", text + DATA + loop.format(**settings) + ask + save + TELL
