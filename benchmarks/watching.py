"""What watching costs mlx-lm's own LoRA command: the share of a step, and what is paid once.

    python -m benchmarks.watching [--steps 10 60] [--repeats 5] [--hidden 256] [--layers 4]

Each round runs the command plain and watched, short and long. A step is the difference of the two lengths over the steps between
them, so that loading, capturing and probing fall out; they are what watching costs once. Processor time, children included.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support import tiny

Times = dict[tuple[bool, int], list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, nargs=2, default=(10, 60), metavar=("SHORT", "LONG"))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    options = parser.parse_args()
    times: Times = {}
    with tempfile.TemporaryDirectory(prefix="watching-") as temporary:
        root = Path(temporary)
        model = tiny.build(root / "model", hidden=options.hidden, layers=options.layers)
        tiny.write_data(root / "data", tiny.PIRATE * 4)
        for number in range(options.repeats):
            for steps in options.steps:
                for watched in (False, True):
                    times.setdefault((watched, steps), []).append(run(root, model, number, steps, watched))
    print(said(times, *options.steps))


def run(root: Path, model: Path, number: int, steps: int, watched: bool) -> float:
    """Processor seconds of one run with all its children."""
    work = root / f"{number}-{steps}-{watched}"
    work.mkdir()
    words = ["lora", "--train", "--model", str(model), "--data", str(root / "data"), "--iters", str(steps), "--batch-size", "4"]
    words += [
        "--num-layers",
        "-1",
        "--adapter-path",
        "adapters",
        "--val-batches",
        "0",
        "--steps-per-report",
        "1000",
        "--save-every",
        "1000",
    ]
    command = [sys.executable, "-m", "mlx_lm", *words]
    before = [sys.executable, "-m", "forensics", "capture", "--quiet", "--"] if watched else []
    began = spent()
    subprocess.run(
        [*before, *command], cwd=work, check=True, capture_output=True, env={**os.environ, "FORENSICS_STORE": str(work / "store")}
    )
    return spent() - began


def spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def said(times: Times, short: int, long: int) -> str:
    """A step plain and watched, their ratio with its spread over the rounds, and the fixed cost."""
    plain, watched = ([(b - a) / (long - short) for a, b in zip(times[how, short], times[how, long], strict=True)] for how in (False, True))
    ratios = [y / x for x, y in zip(plain, watched, strict=True)]
    both = zip(times[False, short], times[True, short], plain, watched, strict=True)
    once = [(long_ - short * y) - (short_ - short * x) for short_, long_, x, y in both]
    step, seen, ratio = map(statistics.median, (plain, watched, ratios))
    return "\n".join(
        [
            f"a step, plain     {1000 * step:8.1f} ms of processor",
            f"a step, watched   {1000 * seen:8.1f} ms: {ratio:.3f} times plain ({min(ratios):.3f} to {max(ratios):.3f})",
            f"paid once         {statistics.median(once):8.2f} s: captures, probes, and a reload of what was saved",
        ]
    )


if __name__ == "__main__":
    main()
