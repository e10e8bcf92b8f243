"""Programs that are drawn: a model, an optimizer, a loop and an end, put together anew by each seed."""

from __future__ import annotations

import random

HEAD = """
import gc, hashlib, random, sys, weakref
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
import numpy as np
from mlx.utils import tree_flatten
random.seed({seed}); np.random.seed({seed}); mx.random.seed({seed})
alive = []
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.a = nn.Embedding(24, {width}), nn.Linear({width}, {width})
        self.o = nn.Linear({width}, 24)
        self.d = nn.Dropout({dropout})
    def __call__(self, x): return self.o(self.d(nn.gelu(self.a(self.e(x)))))
def batch(k): return mx.array(np.random.RandomState(k).randint(0, 24, ({rows}, 7)))
def loss(m, x): return nn.losses.cross_entropy(m(x[:, :-1]), x[:, 1:]).mean()
model, optimizer = Net(), {optimizer}
alive += [weakref.ref(model), weakref.ref(optimizer)]
function = nn.value_and_grad(model, loss)
"""
OPTIMIZERS = (
    "optim.SGD(1e-1)",
    "optim.Adam(1e-2)",
    "optim.AdamW(optim.cosine_decay(1e-2, 9))",
    "optim.Lion(1e-3)",
    "optim.Adafactor()",
)
LOOPS = {
    "update": (
        """
for k in range({steps}):
    value, grads = function(model, batch(k))
    optimizer.update(model, grads)
    mx.eval(model.parameters(), optimizer.state, value)
    print(k, repr(value.item()))
"""
    ),
    "apply": (
        """
for k in range({steps}):
    value, grads = function(model, batch(k))
    model.update(optimizer.apply_gradients(grads, model.trainable_parameters()))
    mx.eval(model.parameters(), optimizer.state, value)
    print(k, repr(value.item()))
"""
    ),
    "by hand": (
        """
from mlx.utils import tree_map
for k in range({steps}):
    value, grads = function(model, batch(k))
    model.update(tree_map(lambda p, g: p - 0.1 * g, model.trainable_parameters(), grads))
    mx.eval(model.parameters(), value)
    print(k, repr(value.item()))
"""
    ),
    "compiled": (
        """
state = [model.state, optimizer.state, mx.random.state]
def step(x):
    value, grads = nn.value_and_grad(model, loss)(model, x)
    optimizer.update(model, grads)
    return value
step = mx.compile(step, inputs=state, outputs=state)
for k in range({steps}):
    value = step(batch(k))
    mx.eval(state, value)
    print(k, repr(value.item()))
del state, step
"""
    ),
    "never computed": (
        """
for k in range({steps}):
    value, grads = function(model, batch(k))
    optimizer.update(model, grads)
print(repr(value.item()))
"""
    ),
}
TELL = """
digest = hashlib.sha256()
for name, array in sorted(tree_flatten(model.parameters())):
    digest.update(name.encode() + np.array(array).tobytes())
print("weights", digest.hexdigest()[:16], random.random(), np.random.rand(), mx.random.uniform().item())
"""
COUNT = """
del model, optimizer, function
gc.collect()
print("alive", sum(each() is not None for each in alive), file=sys.stderr)
"""
ENDS = {
    "drop": COUNT,
    "save": "model.save_weights('w.safetensors')\n" + COUNT,
    "npz": "np.savez('w.npz', **{{k: np.array(v) for k, v in tree_flatten(model.parameters())}})\n" + COUNT,
    "status": COUNT + "sys.exit(3)\n",
    "raise": COUNT + "raise ValueError('on purpose')\n",
    "swallowed": (
        "try: model.load_weights('nowhere.safetensors')\nexcept Exception as error:"
        " print(type(error).__name__)\n" + COUNT
    ),
}


def draw(seed: int) -> tuple[str, str]:
    """(a name, the program's text) of one seed."""
    draws = random.Random(seed)  # noqa: S311
    loop, end, optimizer = draws.choice(list(LOOPS)), draws.choice(list(ENDS)), draws.choice(OPTIMIZERS)
    settings = {
        "seed": seed, "width": draws.choice((8, 16, 32)), "dropout": draws.choice((0.0, 0.0, 0.2)),
        "rows": draws.choice((1, 2, 5)), "steps": draws.choice((1, 3, 6)), "optimizer": optimizer,
    }  # fmt: skip
    return f"{seed} {loop}, {optimizer}, {end}", (HEAD + LOOPS[loop] + TELL + ENDS[end]).format(**settings)
