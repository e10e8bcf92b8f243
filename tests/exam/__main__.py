"""Draws programs, examines the tool on them, and prints the table.

python -m tests.exam --seed N --draw M [--half known|measured] [--json FILE] [--accuracy FILE]
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from tests.exam import draw, grammar, run, table
from tests.exam.shrink import shrink


def _arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.exam", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=None, help="what the sample follows from (default: fresh, printed)"
    )
    parser.add_argument("--draw", type=int, default=60, help="how many valid programs")
    parser.add_argument("--half", choices=("known", "measured"), default=None)
    parser.add_argument("--json", type=Path, help="write the numbers and every program here")
    parser.add_argument(
        "--accuracy", type=Path, help="write docs/accuracy.md here, of this sample and those in --with"
    )
    parser.add_argument(
        "--with", dest="earlier", type=Path, nargs="*", default=[], help="JSON files of earlier samples"
    )
    parser.add_argument("--note", default="", help="what docs/accuracy.md says beside how it was measured")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit", type=float, default=None, help="stop drawing after so many seconds")
    parser.add_argument("--keep", type=Path, help="a directory for what was missed: program, twin and store")
    parser.add_argument("--shrink", type=int, default=2, help="how many misses to make small")
    parser.add_argument(
        "--show", metavar="SEED/NUMBER[/HALF]", help="print one program of a sample, and run nothing"
    )
    return parser.parse_args(given)


def record(result: run.Result) -> dict[str, Any]:
    operators = result.draw.operators
    return {
        **result.record(),
        "found": result.found,
        "first_right": bool(operators) and result.first_right,
        "halves": [operator.half for operator in operators],
        "accepted": sorted({name for operator in operators for name in (operator.id, *operator.also)}),
    }


def one_line(result: run.Result) -> str:
    truth = ", ".join(operator.name for operator in result.draw.operators) or result.draw.kind
    if result.error:
        return f"BROKE   {result.draw.seed}: {truth}: {result.error[-300:]}"
    return (
        f"MISSED  {result.draw.seed}: {truth}: called {result.verdict},"
        f" {', '.join(result.names) or 'nothing found'}"
    )


def main(given: list[str] | None = None) -> int:
    arguments = _arguments(given)
    if arguments.show:
        seed, number, *half = arguments.show.split("/")
        print(grammar.render(draw.one(int(seed), int(number), *half).program)["train.py"])
        return 0
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    run.prepare()
    began = time.monotonic()
    records, missed = [], []
    for result in run.sample(
        seed, arguments.draw, arguments.half, arguments.jobs, arguments.limit, arguments.keep
    ):
        records.append(record(result))
        if (
            arguments.json
        ):  # kept as it comes: a sample is long, and what was drawn before it is stopped counts
            arguments.json.write_text(
                json.dumps({**table.summary(records), "seed": seed, "programs": records}, indent=1)
            )
        if result.missed:
            missed.append(result)
            print(one_line(result), flush=True)
    seconds, count = time.monotonic() - began, len(records)
    for result in missed[: arguments.shrink]:
        small = shrink(result)
        print(
            f"\nsmallest of {small.draw.seed}:"
            f" {one_line(small)}\n{grammar.render(small.draw.program)['train.py']}"
        )
    for path in arguments.earlier:
        records += json.loads(path.read_text())["programs"]
    numbers = {**table.summary(records), "seed": seed, "seconds": round(seconds, 1)}
    print(table.shown(numbers))
    print(
        f"{count} programs in {seconds:.0f} s: {60 * count / max(seconds, 1):.1f} a minute,"
        f" {arguments.jobs} at once"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps({**numbers, "programs": records}, indent=1))
    if arguments.accuracy:
        arguments.accuracy.write_text(table.document(records, f"{_how(records)} {arguments.note}".strip()))
    return 0


def _how(records: list[dict[str, Any]]) -> str:
    drawn = {(int(seed), *half) for seed, _, *half in (one["seed"].split("/") for one in records)}
    seeds = [f"{seed} of the {half[0]} half" if half else str(seed) for seed, *half in sorted(drawn)]
    used = {name for one in records for name in one["pieces"].values()}
    return (
        f"{len(records)} programs were drawn (seeds {', '.join(seeds)}) from {len(used)} of"
        f" {len(draw.pieces())} pieces and {len({name for one in records for name in one['faults']})} of"
        f" {len(draw.operators())} operators. Captured and diagnosed as users do, with the defaults of both"
        f" commands, on tiny models on the CPU. {_speed(records)}"
    )


def _speed(records: list[dict[str, Any]]) -> str:
    """How long one takes; how many a minute is for the note to say, which knows what else ran."""
    mean = sum(one["seconds"] for one in records) / max(len(records), 1)
    return f"One program took {mean:.1f} s in the mean with its twin, proof, capture and diagnosis."


if __name__ == "__main__":
    sys.exit(main())
