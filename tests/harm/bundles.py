"""Bundles that are mutated: each opens, or is refused as damaged in our words.

What opens is judged, or refused as well.
"""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from forensics import api, evidence
from forensics.bundle import contents, write
from tests.harm.counts import Count, broken_by, processor
from tests.support import hostile, made

SECONDS = 20.0  # of processor: one bundle, opened and judged
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**31,
    -(2**63),
    2**64,
    1e308,
    -1e308,
    float("inf"),
    float("nan"),
    0.1,
    "",
    "x" * 5000,
    "\u202e\x00\x1b[31m",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "{}",
    "[]",
    "[[[[[[]]]]]]",
    "'; DROP TABLE runs; --",
    [],
    {},
    [1, "a"],
    {"a": {"b": 1}},
)
Change = Callable[[random.Random, hostile.Members], bytes]


def run(seed: int, count: int, place: Path) -> Count:
    """So many mutants of one sound bundle, in this process; each third that opens is judged too."""
    done = Count(
        "a stranger's bundle is opened or refused, in our words, within 20 s of processor", "mutated bundles"
    )
    place.mkdir(parents=True, exist_ok=True)
    members, judged, opened = _sound(place / "sound"), 0, 0
    for number in range(count):
        draws = random.Random(f"{seed} {number}")  # noqa: S311
        name = draws.choice(list(CHANGES))
        path, began = place / f"{number}.zip", processor()
        path.write_bytes(CHANGES[name](draws, members))
        judge = number % 3 == 0
        wrong, opens = _wrong(path, place / f"s{number}", judge)
        opened += opens
        judged += opens and judge
        if wrong is None and processor() - began > SECONDS:
            wrong = f"{processor() - began:.0f} s"
        done.add(f"{name}, seed {seed}, number {number}", wrong)
        path.unlink()
        shutil.rmtree(place / f"s{number}", ignore_errors=True)
    done.notes.append(f"{opened} opened, {judged} of them judged")
    return done


def _sound(directory: Path) -> hostile.Members:
    store = made.night(directory / "store")
    with ExitStack() as stack:
        chosen = contents.select(evidence.chosen(store, ["night"]))
        staged = write.stage(store, chosen, "full", text=True, stack=stack)
        write.finish(staged, directory / "good.zip")
    return hostile.members(directory / "good.zip")


def _wrong(path: Path, place: Path, judge: bool) -> tuple[str | None, bool]:
    try:
        case = api.open(path, store=place)
        if judge:
            str(case.diagnosis)
    except Exception as error:  # noqa: BLE001
        return broken_by(error), False
    return None, True


# -- how a bundle is changed ---------------------------------------------------------------------------------


def _bytes(draws: random.Random, members: hostile.Members) -> bytes:
    """Bytes of the archive itself."""
    data = bytearray(hostile.zipped(members))
    for _ in range(draws.choice((1, 1, 2, 8))):
        data[draws.randrange(len(data))] = draws.randrange(256)
    return bytes(data)


def _cut(draws: random.Random, members: hostile.Members) -> bytes:
    data = hostile.zipped(members)
    return data[: draws.randrange(len(data))]


def _member_bytes(draws: random.Random, members: hostile.Members) -> bytes:
    """Bytes of a member, its digests made to hold."""
    changed = dict(members)
    name = draws.choice(list(changed))
    data = bytearray(changed[name])
    for _ in range(draws.choice((1, 3, 20))):
        if data:
            data[draws.randrange(len(data))] = draws.randrange(256)
    changed[name] = bytes(data)
    return _sealed(changed)


def _member_gone(draws: random.Random, members: hostile.Members) -> bytes:
    changed = dict(members)
    del changed[draws.choice([name for name in changed if name != "manifest.json"])]
    return _sealed(changed)


def _member_swapped(draws: random.Random, members: hostile.Members) -> bytes:
    changed = dict(members)
    one, other = draws.sample(list(changed), 2)
    changed[one], changed[other] = changed[other], changed[one]
    return _sealed(changed)


def _rows(draws: random.Random, members: hostile.Members) -> bytes:
    """Values of rows: what a column never holds, and extremes of what it does."""
    changed = dict(members)
    name = draws.choice([name for name in changed if name.endswith(".jsonl.gz")])
    rows = [json.loads(line) for line in gzip.decompress(changed[name]).splitlines()]
    for _ in range(draws.choice((1, 2, 6))):
        if rows:
            row = draws.choice(rows)
            row[draws.choice([*row, "unheard_of"])] = draws.choice(VALUES)
    if draws.random() < 0.3:
        rows = draws.choice((rows[:-1], rows + rows, rows[::-1], []))
    changed[name] = hostile.gz(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    return _sealed(changed)


def _head(draws: random.Random, members: hostile.Members) -> bytes:
    """A value in a manifest, of the bundle or of a capture."""
    changed = dict(members)
    name = draws.choice([name for name in changed if name.endswith("manifest.json")])
    document = json.loads(changed[name])
    place = document
    while isinstance(place, dict) and place:
        key = draws.choice(list(place))
        if not isinstance(place[key], dict) or draws.random() < 0.4:
            place[key] = draws.choice(VALUES)
            break
        place = place[key]
    changed[name] = hostile.canonical(document)
    try:
        return _sealed(changed)
    except (ValueError, AttributeError, TypeError):  # its own manifest holds no list of members any more
        return hostile.zipped(changed)


def _sealed(members: hostile.Members) -> bytes:
    try:
        return hostile.zipped(hostile.resealed(members))
    except (ValueError, AttributeError, TypeError, KeyError):
        return hostile.zipped(members)


CHANGES: dict[str, Change] = {
    "bytes of the archive": _bytes,
    "the archive cut off": _cut,
    "bytes of a member": _member_bytes,
    "a member gone": _member_gone,
    "two members swapped": _member_swapped,
    "values of rows": _rows,
    "values of rows again": _rows,  # where most of what is read comes from
    "a value in a manifest": _head,
}
