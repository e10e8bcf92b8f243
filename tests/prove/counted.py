"""How often a proof is right, counted on the zoo, or on programs that the exam draws.

    python -m tests.prove.counted --out rows.jsonl [--seed N] [-k WORD]
    python -m tests.prove.counted --out rows.jsonl --exam --cases 30

Each broken program is captured, and the cause that its case names is proved on it; so are cures of faults
that it has not. Its symptom can be seen where the run shows a harm that its healthy twin has less of. The
seed gives the order (the draws, of the exam), so that a count that ends early is one of a fair sample. A row
for each proof is appended to `--out`; what stands there is not run again, so that the count may be done in
parts (`--part 2/6`, `--seconds N`, `--cases N`). The whole zoo takes hours; `--table` prints what there is.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from forensics.errors import ForensicsError
from forensics.prove import cures
from forensics.prove.proof import Proving
from forensics.store.store import Store
from tests.prove.subjects import Subject, of_exam, of_zoo
from tests.support import quick

Row = dict[str, Any]
REPEATS = 2
LEAST = 0.8
"""The share of causes that must be proved, of those whose symptom is seen."""
ACTING = (
    "padding-in-loss", "prompt-in-loss", "labels-not-shifted", "labels-shifted-twice",
    "loss-sign-flipped", "mask-off-by-one", "end-never-trained", "all-tokens-masked",
    "ignore-index-as-token", "targets-unrelated", "answers-partly-masked", "probabilities-as-logits",
    "update-too-large", "update-lost-to-rounding", "uniform-decay", "weights-not-finite", "dtype-drift",
    "frozen-but-changed", "accumulation-mismatch", "stale-compiled-function", "saved-untrained",
    "adapter-incomplete", "gradient-discarded", "lora-missing", "lora-partial", "stop-token-missing",
    "template-mismatch", "base-not-frozen", "wrong-model-updated",
)  # fmt: skip
"""Cures that put something in on most programs, with the fault or without: those are the ones to try."""


def main() -> int:
    parser = argparse.ArgumentParser(description="Count how often a proof is right.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "-k", metavar="WORD", action="append", default=[], help="only names or first causes that hold WORD"
    )
    parser.add_argument("--part", default="1/1", help="I/N: each N-th case from the I-th on")
    parser.add_argument("--seed", type=int, default=16, help="of the order in which cases are taken")
    parser.add_argument("--exam", action="store_true", help="draws of the exam with one fault, not the zoo")
    parser.add_argument("--cases", type=int, help="so many, those that stand there among them")
    parser.add_argument("--wrong", type=int, default=2, help="cures of absent faults tried on each program")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no case after so long")
    parser.add_argument("--again", action="store_true", help="count what -k names anew")
    parser.add_argument("--table", action="store_true", help="print the table of what was counted, and end")
    options = parser.parse_args()
    rows = read(options.out)
    if options.table:
        print(table(rows))
        return 0 if holds(rows) else 1
    first, parts = map(int, options.part.split("/"))
    began, done = time.monotonic(), set() if options.again else {row["case"] for row in rows}
    with tempfile.TemporaryDirectory(prefix="counted-") as folder:
        quick.children(Path(folder))
        every = of_exam(options.seed) if options.exam else of_zoo(options.seed)
        for case in itertools.islice(every, first - 1, None, parts):
            if time.monotonic() - began > options.seconds or len(done) >= (options.cases or math.inf):
                break
            wanted = not options.k or any(
                word in text for word in options.k for text in (case.name, case.faults[0])
            )
            if case.name in done or not wanted:
                continue
            if why := case.thrown(Path(tempfile.mkdtemp(dir=folder))):
                print(f"thrown away: {case.name}: {why}", flush=True)
                continue
            done.add(case.name)
            for row in counted(case, Path(folder) / str(len(done)), options.wrong):
                print(line(row), flush=True)
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    rows = read(options.out)
    print(table(rows))
    return 0 if holds(rows) else 1


def read(out: Path) -> list[Row]:
    """The last row of each proof: of the cause that a case names, and of each absent one."""
    lines = out.read_text("utf-8").splitlines() if out.exists() else []
    rows = map(json.loads, lines)
    return list({(row["case"], row["right"] or row["cure"]): row for row in rows}.values())


def counted(case: Subject, folder: Path, wrong: int) -> Iterable[Row]:
    """The row of the cause that the case names, then those of absent faults."""
    began = time.monotonic()
    row: Row = {"case": case.name, "cure": case.faults[0], "right": True}
    try:
        proving = captured(case, folder / "broken", broken=True)
        harm = proving.record.harm
        healthy = twin(case, folder) if any(harm.values()) else {}
        found = [each.id for each in proving.diagnosis.findings]
        row |= {
            "named": found[:1] == [case.faults[0]],
            "seen": [what for what, amount in harm.items() if amount > healthy.get(what, 0)],
        }
    except ForensicsError as error:
        yield row | {"outcome": "error", "why": error.message, "named": False, "seen": []}
        return
    if not row["seen"]:
        yield row | {"outcome": "unseen", "why": "no harm that the healthy program has less of"}
        return
    for cause in case.faults[: case.causes]:  # of two faults the one that makes the harm can be proved
        row |= {"cure": cause, **proved(proving, cause)}
        if row["outcome"] == "proved":
            break
    yield row | {"seconds": round(time.monotonic() - began, 1)}
    true = {*case.faults, *found}
    absent = [each for each in cures.curable_ids() if each not in true and each in ACTING]
    for name in random.Random(case.name).sample(absent, min(wrong, len(absent))):
        yield {"case": case.name, "cure": name, "right": False, "seen": row["seen"], **proved(proving, name)}


def captured(case: Subject, directory: Path, *, broken: bool) -> Proving:
    if not directory.exists():
        directory.parent.mkdir(exist_ok=True)
        case.capture(directory, broken)
    store = Store(directory / ".forensics")
    return Proving(store, store.run("run"), repeats=REPEATS)


def twin(case: Subject, folder: Path) -> Mapping[str, int]:
    """The harm of the healthy program, one for all cases of that program."""
    if case.twin not in _twins:
        _twins[case.twin] = captured(case, folder / "twin", broken=False).record.harm
    return _twins[case.twin]


_twins: dict[str, Mapping[str, int]] = {}


def proved(proving: Proving, cure: str) -> Row:
    try:
        found = proving.prove([cure], lambda line: None)
    except ForensicsError as error:
        return {"outcome": "error", "why": error.message}
    each = found.cures[0]
    return {
        "outcome": each.outcome,
        "why": each.why,
        "did": dict(each.did),
        "harm": {effect.what: [effect.as_it_was, effect.cured] for effect in each.effects},
        "repeats": found.repeatable,
    }


def line(row: Row) -> str:
    kind = "right" if row["right"] else "wrong"
    seen = "; ".join(row["seen"]) or "nothing seen"
    return f"{kind} {row['case']:34} {row['cure']:28} {row['outcome']:10} {row['why'][:90]}  [{seen}]"


def holds(rows: Iterable[Row]) -> bool:
    """Is the right cause proved in four of five cases whose symptom is seen, and no absent fault at all?"""
    seen = [row["outcome"] == "proved" for row in rows if row["right"] and row["seen"]]
    wrong = [row for row in rows if not row["right"] and row["outcome"] == "proved"]
    return not wrong and sum(seen) >= LEAST * len(seen)


def table(rows: Iterable[Row]) -> str:
    """The numbers: of the causes whose symptom can be seen, and of cures of absent faults."""
    every = list(rows)
    right = [row for row in every if row["right"]]
    seen = [row for row in right if row["seen"]]
    wrong = [row for row in every if not row["right"]]
    acted = [row for row in wrong if row.get("did")]
    lines = [f"programs {len(right)}, with a symptom that can be seen {len(seen)}"]
    for name, of in (
        ("the right cause, symptom seen", seen),
        ("the right cause, all", right),
        ("an absent fault", wrong),
        ("an absent fault, its cure acted", acted),
    ):
        count = Counter(row["outcome"] for row in of)
        lines.append(
            f"{name:30} of {len(of):3}: " + ", ".join(f"{what} {n}" for what, n in count.most_common())
        )
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
