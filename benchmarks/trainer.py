"""The program that `benchmarks.watching` runs plain and watched: a loop over random rows, as users write it.

    python -m benchmarks.trainer MODEL --steps 50 --length 64 [--compiled] [--full] --told told.json

It writes what the processor and the clock showed when it began each step, and what the process held at most.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten
from mlx_lm import load
from mlx_lm.tuner.utils import linear_to_lora_layers

PARAMETERS, RATE = {"rank": 8, "scale": 10.0, "dropout": 0.0}, 1e-4


def main() -> None:
    """Load, put adapters in, train, save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--full", action="store_true", help="all weights are trained, without adapters")
    parser.add_argument("--told", required=True, help="the file for what was measured")
    asked = parser.parse_args()
    marks = [("begun", time.process_time(), time.perf_counter())]

    def mark(what: str) -> None:
        marks.append((what, time.process_time(), time.perf_counter()))

    model, _ = load(asked.model)
    keys = [] if asked.full else adapted(model)
    model.train()
    mark("loaded")
    tensors = _train(model, asked, mark)
    mx.save_safetensors("adapters.safetensors", dict(tree_flatten(model.trainable_parameters())))
    if not asked.full:
        about = {"fine_tune_type": "lora", "num_layers": -1, "lora_parameters": PARAMETERS | {"keys": keys}}
        Path("adapter_config.json").write_text(json.dumps(about))
    mark("saved")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    told = {"marks": marks, "tensors": tensors, "peak": peak, "mlx_peak": mx.get_peak_memory()}
    Path(asked.told).write_text(json.dumps(told))


def adapted(model: nn.Module) -> list[str]:
    """Put adapters on every linear layer.

    Returns the names of the layers within a block.
    """
    model.freeze()
    keys = sorted(
        path
        for path, each in model.model.layers[0].named_modules()
        if path and isinstance(each, (nn.Linear, nn.QuantizedLinear))
    )
    linear_to_lora_layers(model, len(model.model.layers), PARAMETERS | {"keys": keys})
    return keys


def stepping(model: nn.Module) -> tuple[Any, list[Any]]:
    """(a step over a batch of rows, the state that it reads and writes)."""
    optimizer = optim.Adam(RATE)

    def loss(batch: mx.array) -> mx.array:
        return nn.losses.cross_entropy(model(batch[:, :-1]), batch[:, 1:], reduction="mean")

    gradient = nn.value_and_grad(model, loss)

    def step(batch: mx.array) -> mx.array:
        value, gradients = gradient(batch)
        optimizer.update(model, gradients)
        return value

    return step, [model.state, optimizer.state, mx.random.state]


def _train(model: nn.Module, asked: argparse.Namespace, mark: object) -> int:
    mx.random.seed(1)
    rows = mx.random.randint(4, model.args.vocab_size, (8, asked.batch, asked.length + 1))
    step, state = stepping(model)
    if asked.compiled:
        step = partial(mx.compile, inputs=state, outputs=state)(step)
    for number in range(asked.steps):
        mark("step")  # type: ignore[operator]
        value = step(rows[number % 8])
        mx.eval(state, value)
    mark("trained")  # type: ignore[operator]
    return len(tree_flatten(model.trainable_parameters()))


if __name__ == "__main__":
    main()
