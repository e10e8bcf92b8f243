"""Prints a table of promise, trial and count; exit status 1 where a promise was broken.

`--count` of each: the counts that docs/reliability.md wants are the default.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from pathlib import Path

COUNTS = {
    "trial": 150, "kills": 200, "disks": 36, "bundles": 2000, "models": 1000, "statements": 300,
    "secretruns": 100, "threads": 250,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.harm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", choices=COUNTS, action="append", help="this trial alone; may be given again"
    )
    parser.add_argument("--share", type=float, default=1.0, help="this part of each count, one at least")
    given = parser.parse_args()
    broken = False
    print("| promise | test | last count |\n| --- | --- | --- |", flush=True)
    for name in given.only or COUNTS:
        began = time.monotonic()
        trial = importlib.import_module(f"tests.harm.{name}")
        with tempfile.TemporaryDirectory() as place:
            count = trial.run(given.seed, max(1, round(COUNTS[name] * given.share)), Path(place))
        print(count.row(), flush=True)
        for what, wrong in count.broken:
            broken = True
            print(f"broken: {what}: {wrong}", file=sys.stderr)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
