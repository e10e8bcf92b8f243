"""What watching adds to a step: one program that is watched, and left alone, in turns.

    python -m benchmarks.blocks MODEL --steps 400 --length 32 [--compiled] [--full] [--profile]

Two runs of one program differ by more than watching costs. Here one process trains under `forensics capture`,
and every five steps the watch looks away or looks again; a step is the median of those on its side. Told are
the processor and the clock of a step on both sides, and the processor that our own Python took: what is more
than that was computed in the program's evaluations. Steps that are kept whole are left out, and so is the
first of each five, in which what waited is written.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

BLOCK = 5
SELF = "benchmarks.blocks"


def main() -> None:
    """Start the program watched, or be it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=32)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--full", action="store_true", help="all weights are trained, without adapters")
    parser.add_argument("--profile", action="store_true", help="where our own Python spends its time")
    asked = parser.parse_args()
    if "_forensics_watch.run" in sys.modules or os.environ.get("BLOCKS") == "inside":
        return _trained(asked)
    with tempfile.TemporaryDirectory(prefix="blocks-") as name:
        words = [sys.executable, "-m", SELF, str(asked.model.resolve()), *sys.argv[2:]]
        quiet = ["--quiet", "--no-reload", "--selftest", "off", "--max-tokens", "1"]
        paths = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))
        variables = {"BLOCKS": "inside", "FORENSICS_STORE": f"{name}/store", "PYTHONPATH": paths}
        command = [sys.executable, "-m", "forensics", "capture", *quiet, "--", *words]
        sys.exit(subprocess.run(command, cwd=name, env={**os.environ, **variables}).returncode)


def _trained(asked: argparse.Namespace) -> None:
    import mlx.core as mx  # the watch begins here
    from mlx.utils import tree_flatten
    from mlx_lm import load

    from benchmarks.trainer import adapted, stepping

    model, _ = load(str(asked.model))
    if not asked.full:
        adapted(model)
    model.train()
    mx.random.seed(1)
    rows = mx.random.randint(4, model.args.vocab_size, (8, asked.batch, asked.length + 1))
    step, state = stepping(model)
    plain = step
    if asked.compiled:
        # two functions: one is traced with the watch, the other without
        step, plain = (partial(mx.compile, inputs=state, outputs=state)(each) for each in (step, step))
    watch = sys.modules["_forensics_watch.run"].watch  # type: ignore[attr-defined]
    blocks: list[list[tuple[float, float, float]]] = []  # of each block the steps that count
    watched, profile = 0, cProfile.Profile()
    for number in range(asked.steps):
        watch.on = number // BLOCK % 2 == 0
        if number % BLOCK == 0:
            blocks.append([])
        watched += watch.on
        kept = watch.on and any(n <= 8 or n & (n - 1) == 0 for n in (watched, watched - 2))  # or written now
        if asked.profile and watch.on and watched > 20:
            profile.enable()
        began, clock, ours = time.process_time(), time.perf_counter(), watch.spent
        value = (step if watch.on else plain)(rows[number % 8])
        mx.eval(state, value)
        spent = time.process_time() - began, time.perf_counter() - clock, watch.spent - ours
        profile.disable()
        if not kept and number % BLOCK:
            blocks[-1].append(spent)
    watch.on = True
    tensors = len(tree_flatten(model.trainable_parameters()))
    _say(asked, tensors, blocks[4:])
    if asked.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats("_forensics_watch|forensics/watch", 25)


def _say(asked: argparse.Namespace, tensors: int, blocks: list[list[tuple[float, float, float]]]) -> None:
    """One line: a step left alone, and what is more in a watched one than in its neighbours on both sides."""
    told = [[statistics.median(column) for column in zip(*block, strict=True)] for block in blocks if block]
    before, watched, after = told[1:-1:2], told[2::2], told[3::2]
    more = [
        [middle[i] - (a[i] + b[i]) / 2 for a, middle, b in zip(before, watched, after, strict=False)]
        for i in (0, 1)
    ]
    processor, clock, _ = (statistics.median(column) for column in zip(*before, strict=True))
    low, own, high = statistics.quantiles(more[0], n=4)
    ours = statistics.median(each[2] for each in watched)
    kind = f"{'compiled ' if asked.compiled else ''}{'full' if asked.full else 'LoRA'}"
    print(
        f"| {kind} | {tensors} | {asked.length} | {1e3 * processor:.1f} | {1e3 * own:+.1f}"
        f" ({1e3 * low:+.1f} to {1e3 * high:+.1f}) | {own / processor:+.1%} | {1e3 * ours:.1f} |"
        f" {1e3 * clock:.1f} | {statistics.median(more[1]) / clock:+.1%} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
