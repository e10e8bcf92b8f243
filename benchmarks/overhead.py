"""What watching costs a training program, plain against watched in turns: once, and a step.

Into docs/overhead.md.

    python -m benchmarks.overhead                       the cases of the page
    python -m benchmarks.overhead --layers 30 --lengths 32 --steps 1 30 --out -   a quick look
    python -m benchmarks.overhead --minutes 20 --lines lines.json                 a part; again: the next part

What `--minutes` left no time for stands in the page as not run.

`benchmarks.trainer` is the program. Figures are seconds of processor, which a busy machine changes less than
the clock; of a step the median of those that are not kept (the first 8 and powers of two are, in which every
position of the loss is read).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from benchmarks.meter import cost
from benchmarks.page import above
from tests.support import quick, tiny


@dataclass(frozen=True)
class Case:
    """One program: its model, its rows, and how it trains."""

    layers: int
    length: int
    steps: int
    compiled: bool = False
    full: bool = False

    @property
    def words(self) -> list[str]:
        flags = [word for word, yes in (("--compiled", self.compiled), ("--full", self.full)) if yes]
        return ["--steps", str(self.steps), "--length", str(self.length), *flags]


@dataclass(frozen=True)
class Ran:
    """One run: processor of all of it, of a step in the middle, and the most that the program held, in MB."""

    processor: float
    step: float | None
    peak: float
    tensors: int


def ran(case: Case, model: Path, work: Path, *options: str, watched: bool) -> Ran:
    """Run it in a directory of its own.

    Raises SystemExit where it fails.
    """
    work.mkdir(parents=True)
    told = work / "told.json"
    command = [sys.executable, "-m", "benchmarks.trainer", str(model), *case.words, "--told", str(told)]
    if watched:
        command = [sys.executable, "-m", "forensics", "capture", "--quiet", *options, "--", *command]
    here = Path.cwd()
    paths = os.pathsep.join(filter(None, [str(here), os.environ.get("PYTHONPATH")]))
    os.chdir(work)
    try:
        spent = cost(command, {"FORENSICS_STORE": str(work / "store"), "PYTHONPATH": paths}, good=(0,))
    finally:
        os.chdir(here)
    if spent.failed:
        raise SystemExit(f"{case} failed: {spent.failed}")
    said = json.loads(told.read_text())
    steps = [b[1] - a[1] for a, b in pairwise(said["marks"]) if a[0] == "step"]
    plain = [seconds for number, seconds in enumerate(steps, 1) if number > 8 and number & (number - 1)]
    middle = statistics.median(plain) if plain else None
    return Ran(spent.processor, middle, said["peak"] / 1e6, said["tensors"])


def line(case: Case, model: Path, root: Path, rounds: int) -> str:
    """A row of the table: the best of some rounds on either side, in turns."""
    sides: dict[bool, list[Ran]] = {False: [], True: []}
    for number in range(rounds):
        for watched in (False, True) if number % 2 == 0 else (True, False):
            sides[watched].append(ran(case, model, root / f"{number}-{watched}", watched=watched))
    a, b = (min(sides[side], key=lambda each: each.processor) for side in (False, True))
    step = [
        min(each.step for each in sides[side] if each.step is not None) if a.step else None
        for side in (False, True)
    ]
    told = (
        f"{1000 * step[0]:.0f} | {1000 * step[1]:.0f} | {step[1] / step[0] - 1:+.1%}"
        if step[0] and step[1]
        else " | | "
    )
    kind = f"{'compiled ' if case.compiled else ''}{'full' if case.full else 'LoRA'}"
    return (
        f"| {kind} | {a.tensors} | {case.length} | {case.steps} | {a.processor:.1f} | {b.processor:.1f} |"
        f" {b.processor - a.processor:.1f} | {told} | {b.peak / a.peak - 1:+.0%} |"
    )


def main() -> None:
    """Build the models, run every case, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--layers", type=int, nargs="+", default=[4, 30, 143])
    parser.add_argument("--lengths", type=int, nargs="+", default=[32, 512, 4096])
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 50, 500])
    parser.add_argument("--kinds", nargs="+", default=["lora", "lora-compiled", "full"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", default="docs/overhead.md", help="The page; - for standard output.")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="No case is begun after that.")
    parser.add_argument(
        "--lines", type=Path, help="A file of lines that were measured, kept and gone on with."
    )
    asked = parser.parse_args()
    lines = json.loads(asked.lines.read_text()) if asked.lines and asked.lines.is_file() else {}
    page, end = [_head(asked.rounds)], time.monotonic() + 60 * asked.minutes
    with tempfile.TemporaryDirectory(prefix="overhead-") as name:
        quick.children(Path(name))
        for layers in asked.layers:
            model = tiny.build(Path(name) / f"model-{layers}", hidden=64, layers=layers)
            for kind in asked.kinds:
                for length, steps in ((length, steps) for length in asked.lengths for steps in asked.steps):
                    case = Case(layers, length, steps, "compiled" in kind, "full" in kind)
                    key = f"{layers}-{kind}-{length}-{steps}"
                    if key not in lines and time.monotonic() < end:
                        lines[key] = line(case, model, Path(name) / key, asked.rounds)
                        print(lines[key], file=sys.stderr)
                        if asked.lines:
                            asked.lines.write_text(json.dumps(lines, indent=1))
                    page.append(
                        lines.get(key) or f"| {kind} of {layers} layers |  | {length} | {steps} | not run |"
                    )
    if asked.out == "-":
        print("\n".join(page))
    else:
        out = Path(asked.out)
        out.write_text("\n".join([above(out), *page, ""]), encoding="utf-8")


def _head(rounds: int) -> str:
    made = (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, {datetime.now(UTC):%Y-%m-%d},"
        f" load {os.getloadavg()[0]:.0f}"
    )
    return f"""
## Measured

`python -m benchmarks.overhead` makes this table. Here: {made};
the best of {rounds} on either side, in turns. Seconds of processor, steps in milliseconds; `once and steps`
is all that the watched command took more: the start of `forensics`, sealing and reload are in it. The memory
is that of the whole process, of which a model of 4.7 MB is little.

| trains | tensors | row | steps | plain | watched | once and steps \
| step, plain | step, watched | a step | memory at peak |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"""


if __name__ == "__main__":
    main()
