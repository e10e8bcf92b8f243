"""Every operator put into programs that it fits, until plain mlx proves it once; the tool is not asked.

python -m tests.exam.proving [--only PART] [--half known|measured] [--pieces] [--tries N] [--jobs N]

An operator that no program proves, or a piece that no sound program has, never counts in a sample: all its
draws are thrown away.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.exam import draw, run
from tests.exam.draw import Draw
from tests.exam.grammar import Piece
from tests.exam.operators import Operator


@dataclass
class Proved:
    """One operator, the program that proved it (None: none did), and why earlier ones were thrown away."""

    operator: Operator
    by: Draw | None = None
    thrown: list[str] = field(default_factory=list)


def programs(operator: Operator, seed: int) -> Iterator[Draw]:
    """Programs with the operator in, from pieces of both halves, habits aside."""
    chance = random.Random(f"{seed}/{operator.name}")
    for number in range(4000):
        twin = draw.compose(chance, half=None, habits=False)
        if twin is None or not operator.fits(twin):
            continue
        twin = replace(twin, settings={"seed": chance.randrange(1, 1000)})
        made = draw.apply(twin, [operator])
        if made is not None:
            yield Draw(number, f"{seed}/{operator.name}", made[0], twin, made[1])


def sound_with(piece: Piece, seed: int, tries: int) -> list[str]:
    """Why programs with the piece are not sound; the last is empty where one is."""
    chance = random.Random(f"{seed}/{piece.name}")
    reasons: list[str] = []
    for _ in range(6000):
        twin = draw.compose(chance, half=None, habits=piece.habit)
        if twin is None or twin.pieces[piece.slot].name != piece.name:
            continue
        twin = replace(twin, settings={"seed": chance.randrange(1, 1000)})
        place = Path(tempfile.mkdtemp(prefix="exam-proof-"))
        try:
            reasons.append(run.why_thrown(Draw(0, f"{seed}/{piece.name}", twin, twin, ()), place) or "")
        except subprocess.TimeoutExpired:
            reasons.append(f"longer than {run.LIMIT} seconds")
        finally:
            shutil.rmtree(place, ignore_errors=True)
        if not reasons[-1] or len(reasons) == tries:
            break
    return reasons


def prove(operator: Operator, seed: int, tries: int) -> Proved:
    """Try the operator on up to `tries` programs."""
    result = Proved(operator)
    for each, _ in zip(programs(operator, seed), range(tries), strict=False):
        place = Path(tempfile.mkdtemp(prefix="exam-proof-"))
        try:
            why = run.why_thrown(each, place)
        except subprocess.TimeoutExpired:
            why = f"longer than {run.LIMIT} seconds"
        finally:
            shutil.rmtree(place, ignore_errors=True)
        if why is None:
            result.by = each
            return result
        result.thrown.append(why)
    return result


def lines_of_pieces(arguments: argparse.Namespace) -> Iterator[tuple[bool, str, list[str]]]:
    """(sound, piece, reasons thrown before) of each piece that was asked for."""
    chosen = [each for each in draw.pieces() if _asked(each, arguments)]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        made = pool.map(lambda each: sound_with(each, arguments.seed, arguments.tries), chosen)
        for each, reasons in zip(chosen, made, strict=True):
            yield "" in reasons, each.name, [reason for reason in reasons if reason]


def lines_of_operators(arguments: argparse.Namespace) -> Iterator[tuple[bool, str, list[str]]]:
    """(proved, operator, reasons thrown before) of each operator that was asked for."""
    chosen = [each for each in draw.operators() if _asked(each, arguments)]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for result in pool.map(lambda each: prove(each, arguments.seed, arguments.tries), chosen):
            yield result.by is not None, result.operator.name, result.thrown


def _asked(each: Operator | Piece, arguments: argparse.Namespace) -> bool:
    return arguments.half in (None, each.half) and any(
        part in each.name for part in arguments.only.split(",")
    )


def main(given: list[str] | None = None) -> int:
    """Print one line for each operator or piece; 1 where one was in no program that counts."""
    parser = argparse.ArgumentParser(prog="python -m tests.exam.proving", description=__doc__)
    parser.add_argument("--only", default="", help="those whose name holds this (several: by commas)")
    parser.add_argument("--half", choices=("known", "measured"), default=None)
    parser.add_argument("--pieces", action="store_true", help="pieces in sound programs, not operators")
    parser.add_argument("--tries", type=int, default=5, help="programs that each is tried on")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args(given)
    run.prepare()
    good = count = 0
    for right, name, thrown in (lines_of_pieces if arguments.pieces else lines_of_operators)(arguments):
        good, count = good + right, count + 1
        print(f"{'proved' if right else 'NEVER '} {name}, thrown before: {len(thrown)}", flush=True)
        for why in thrown:
            print(f"       {why}", flush=True)
    print(f"{good} of {count} are in a program that counts")
    return int(good < count)


if __name__ == "__main__":
    sys.exit(main())
