"""Texts that proofs of the cases begin with.

They look at a program's own objects and files, without the tool.
"""

# names of base parameters that are not as the model directory has them; `net` is the module
MOVED = """
import mlx.core as mx
from mlx.utils import tree_flatten
base = {**mx.load("model/model.safetensors")}
now = {n.replace(".linear.", ".").replace(".linear.", "."): v for n, v in tree_flatten(net.parameters())}
moved = [n for n, v in base.items() if n in now
         and not (now[n].dtype == v.dtype and mx.array_equal(now[n], v).item())]
adapters = [n for n in now if n.endswith((".lora_a", ".lora_b"))]
"""

LOOP = "net = model\n" + MOVED
CLASSES = "net = trainer.model\n" + MOVED
PIPELINE = "net = shared['model']\n" + MOVED
MIXED = "net = loop.model.net\n" + MOVED

# every lora_b that a saved adapter file holds is zero
SAVED_ZERO = """
import mlx.core as mx
from pathlib import Path
saved = mx.load(str(next(Path(".").glob("*/adapters.safetensors"))))
zero = all(float(mx.abs(v).max()) == 0.0 for n, v in saved.items() if n.endswith("lora_b"))
"""
