"""What watching costs mlx-lm's own LoRA command: the share of a step, and what is paid once.

    python -m benchmarks.watching [--steps 40] [--rounds 5] [--hidden 256] [--layers 4] [--options "--every
    10"]

Each round runs the command plain and watched, on the same data with the same seed. The command says a line
after every step; a step lasts from line to line. Of step i, which has the same batch in every run, the
fastest plain and the fastest watched are held against each other, and the median of these ratios is told,
with its quartiles: what else the machine does only ever makes a step slower. The first steps, which compile,
belong to what is paid once: all that the watched command took more, but for the share of its steps.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support import quick, tiny

WARM = 10
"""Steps before the first that counts."""
STEP = re.compile(r"^\s+\d+\s+\d+\.\d+ [▼▲]")
STYLE = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Ran:
    """One run: seconds of each step after the first, of the whole by the clock, and of processor.

    Processor time is that of the command with all its children.
    """

    steps: Sequence[float]
    wall: float
    processor: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--options", default="", help="options of `forensics capture`")
    options = parser.parse_args()
    rounds: list[tuple[Ran, Ran]] = []
    with tempfile.TemporaryDirectory(prefix="watching-") as temporary:
        root = Path(temporary)
        quick.children(root)
        model = tiny.build(root / "model", hidden=options.hidden, layers=options.layers)
        tiny.write_data(root / "data", tiny.PIRATE * 4)
        train = (
            f"lora --train --model {model} --data {root / 'data'} --iters {options.steps} --batch-size"
            f" {options.batch_size}"
        )
        train += (
            " --num-layers -1 --adapter-path adapters --val-batches 0 --steps-per-report 1 --save-every"
            " 100000"
        )
        plain = [sys.executable, "-m", "mlx_lm", *train.split()]
        watched = [
            sys.executable,
            "-m",
            "forensics",
            "capture",
            "--quiet",
            *shlex.split(options.options),
            "--",
            *plain,
        ]
        commands = {"plain": plain, "watched": watched}
        for number in range(options.rounds):
            order = list(commands) if number % 2 == 0 else list(reversed(commands))
            ran = {how: run(commands[how], root, f"{number}-{how}") for how in order}
            rounds.append((ran["plain"], ran["watched"]))
            print(said(rounds[-1:]).partition("\n")[0], file=sys.stderr)
    print(said(rounds))


def run(command: Sequence[str], root: Path, name: str) -> Ran:
    """Run a command in a directory of its own, and take the time at each line that says a step."""
    work = root / name
    work.mkdir()
    variables = {**os.environ, "FORENSICS_STORE": str(work / "store"), "PYTHONUNBUFFERED": "1"}
    at: list[float] = []
    spent, began = _spent(), time.perf_counter()
    with subprocess.Popen(
        command, cwd=work, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        at.extend(time.perf_counter() for line in process.stdout if STEP.match(STYLE.sub("", line)))
    if process.returncode or len(at) < 2 * WARM:
        raise SystemExit(
            f"{shlex.join(command)} ended with status {process.returncode} after {len(at)} steps"
        )
    steps = [after - before for before, after in zip(at, at[1:], strict=False)]
    return Ran(steps, time.perf_counter() - began, _spent() - spent)


def _spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def said(rounds: Sequence[tuple[Ran, Ran]]) -> str:
    """Steps plain and watched, their ratio with its quartiles, and the fixed cost."""
    plain, watched = (
        [min(steps) for steps in zip(*(side.steps[WARM:] for side in sides), strict=True)]
        for sides in zip(*rounds, strict=True)
    )
    low, ratio, high = statistics.quantiles((w / p for p, w in zip(plain, watched, strict=True)), n=4)
    plain_step, watched_step = statistics.median(plain), statistics.median(watched)
    share = (ratio - 1) * plain_step
    wall = statistics.median(w.wall - p.wall - share * len(w.steps) for p, w in rounds)
    processor = statistics.median(w.processor - p.processor - share * len(w.steps) for p, w in rounds)
    busy = statistics.median(p.processor / p.wall for p, _ in rounds)
    return "\n".join(
        [
            (
                f"a step   {1000 * plain_step:.1f} ms plain, {1000 * watched_step:.1f} ms watched:"
                f" {ratio:.3f} times, step by step (quartiles {low:.3f} and {high:.3f}; {len(plain)} steps,"
                f" of each the best of {len(rounds)} rounds)"
            ),
            (
                f"once     {wall:.1f} s by the clock, {processor:.1f} s of processor:"
                " captures, probes, first batches, a reload"
            ),
            (
                f"machine  {busy:.2f} of processor over wall time in the plain runs, load"
                f" {os.getloadavg()[0]:.1f}"
            ),
        ]
    )


if __name__ == "__main__":
    main()
