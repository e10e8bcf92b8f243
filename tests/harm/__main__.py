"""Prints a table of promise, test and count; exit status 1 where a promise was broken."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.harm.programs import draw
from tests.harm.trial import compared, killed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.harm")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=60.0, metavar="SECONDS")
    given = parser.parse_args()
    ends, seed, draws = time.monotonic() + given.budget, given.seed, random.Random(given.seed)  # noqa: S311
    tried, broken, kills, unread = 0, [], 0, []
    with tempfile.TemporaryDirectory() as place:
        while time.monotonic() < ends:
            name, program = draw(seed)
            differing = compared(Path(place) / str(seed), program)
            tried += 1
            broken += [(name, differing)] if differing else []
            if seed % 3 == 0:
                why = killed(Path(place) / f"k{seed}", program, draws.uniform(0.1, 4.0))
                kills += 1
                unread += [(name, why)] if why else []
            seed += 1
    print("| promise | test | count |\n| --- | --- | --- |")
    print(
        f"| output, errors, exit, files, draws, weights and live objects as without | drawn programs | {tried - len(broken)} of {tried} |"
    )
    print(
        f"| what was killed is read by the next command | kills at random moments | {kills - len(unread)} of {kills} |"
    )
    for name, what in [*broken, *unread]:
        print(f"broken: {name}: {what}", file=sys.stderr)
    return 1 if broken or unread else 0


if __name__ == "__main__":
    sys.exit(main())
