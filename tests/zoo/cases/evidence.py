"""Tensors that moved where nothing that was seen moves them."""

from tests.zoo.evaluated import ALL
from tests.zoo.zoo import Case

TAUGHT = {"taught": True}

LLAMA = {"model_type": "llama", "taught": True}

MOVED = """
base = mx.load("model/model.safetensors")
fault = not mx.array_equal(net.{where}.weight, base["{where}.weight"]).item()
"""

CASES = [
    Case(
        "in-place-row",
        "collator",
        ("unexplained-change",),
        (
            (
                "model.eval()\nout",
                "model.eval()\nrow = model.model.embed_tokens.weight\nrow[pad_id] = mx.zeros(row.shape[1])\nout",
            ),
        ),
        "net = model" + MOVED.format(where="model.embed_tokens"),
        ("frozen-but-changed", "base-weights-overwritten", "reload-mismatch"),
        model=TAUGHT,
    ),
    Case(
        "in-place-norm",
        "chatset",
        ("unexplained-change",),
        (
            (
                '            print(f"[{number + 1}',
                '            self.model.model.norm.weight[:4] += 0.01\n            print(f"[{number + 1}',
            ),
        ),
        "net = trainer.model" + MOVED.format(where="model.norm"),
        ("frozen-but-changed", "base-weights-overwritten", "reload-mismatch"),
        model=LLAMA,
    ),
    Case(
        "healthy-pipeline",
        "pipeline",
        evaluated=("error-swallowed", *ALL),
        model={"tied": True, "taught": True},
    ),
]
