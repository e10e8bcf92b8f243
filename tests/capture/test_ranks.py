"""Programs of several ranks: one run, whose main model is the first rank's.

A data set that each rank saw a part of is counted once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forensics.capture import ranks as shards
from forensics.capture.spool import Spool
from tests.support.evidence import Made, ask, capture, evidence, parameter, run

A, B = "r@loaded", "r@end"


def spool(path: Path, *processes: dict[str, list[dict[str, Any]]]) -> Spool:
    """A spool of processes with these tables."""
    for number, tables in enumerate(processes):
        place = path / f"p{number}"
        place.mkdir(parents=True)
        (place / "process.json").write_text("{}")
        for name, rows in tables.items():
            (place / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (path / "options.json").write_text(json.dumps({"run": "r"}))
    return Spool(path)


def rank(number: int, ranks: int, *datasets: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    model = {"model": f"m{number}", "rank": number, "ranks": ranks}
    return {"models": [model], "datasets": list(datasets)}


def file(found: list[int] | None, **columns: Any) -> dict[str, Any]:
    told = {"used": len(found), "unused_between": 3, "found": found} if found else {}
    return {
        "source": "file",
        "path": "/d/train.jsonl",
        "records": 8,
        "purpose": "train",
        "place": "t.py:1",
        **told,
        **columns,
    }


def nothing(processes: Any) -> dict[str, Any]:
    return {}


def test_ranks_use_a_file_together(tmp_path: Path) -> None:
    found = shards.datasets(
        spool(tmp_path, rank(1, 2, file([1, 3, 7])), rank(0, 2, file([0, 2, 4]))), nothing
    )
    assert [(row["process"], row["used"], row["unused_between"]) for row in found] == [(1, 6, 2)]


def test_what_one_rank_could_not_look_for_nobody_knows(tmp_path: Path) -> None:
    found = shards.datasets(spool(tmp_path, rank(0, 2, file(None)), rank(1, 2, file([1, 2]))), nothing)
    assert [(row["used"], row["unused_between"]) for row in found] == [(None, None)]


def test_what_a_rank_alone_used_is_no_more_than_its_part(tmp_path: Path) -> None:
    """Of two ranks one was not watched: half of the file was never for this one."""
    found = shards.datasets(spool(tmp_path, rank(0, 2, file([0, 2, 4, 6]))), nothing)
    assert [(row["used"], row["unused_between"]) for row in found] == [(None, None)]


def test_a_rank_that_used_nothing_is_counted(tmp_path: Path) -> None:
    found = shards.datasets(
        spool(tmp_path, rank(0, 2, file([0, 1])), rank(1, 2, {**file(None), "found": []})), nothing
    )
    assert [(row["used"], row["unused_between"]) for row in found] == [(2, 0)]


def test_launches_of_one_command_stay_apart(tmp_path: Path) -> None:
    both = [rank(0, 2, file([0, 1])), rank(1, 2, file([2])), rank(0, 2, file([0])), rank(1, 2, file([3]))]
    found = shards.datasets(spool(tmp_path, *both), nothing)
    assert [(row["process"], row["used"]) for row in found] == [(0, 3), (2, 2)]


def test_rows_are_counted_over_the_ranks_of_a_file(tmp_path: Path) -> None:
    def drawn(processes: Any) -> dict[str, Any]:
        return {"rows_drawn": len(processes)}

    found = shards.datasets(spool(tmp_path, rank(0, 2, file([0])), rank(1, 2, file([1]))), drawn)
    assert [row["rows_drawn"] for row in found] == [2]


def test_each_rank_measures_rows_of_its_own(tmp_path: Path) -> None:
    row = {"source": "forward", "path": None, "records": 4, "used": 1, "purpose": "valid", "place": "t.py:1"}
    found = shards.datasets(spool(tmp_path, rank(0, 2, row), rank(1, 2, row)), nothing)
    assert [(row["records"], row["used"]) for row in found] == [(8, 2)]


def test_processes_that_are_no_ranks_stay_apart(tmp_path: Path) -> None:
    alone = {"models": [{"model": "m0"}], "datasets": [file([0])]}
    found = shards.datasets(spool(tmp_path, alone, alone), nothing)
    assert [(row["process"], row["used"]) for row in found] == [(0, 1), (1, 1)]


@pytest.mark.parametrize(("seen", "what"), [((0, 1), []), ((0,), ["rank 1 of 2"]), ((), [])])
def test_ranks_that_were_not_watched_are_missing(
    tmp_path: Path, seen: tuple[int, ...], what: list[str]
) -> None:
    models = spool(tmp_path, *(rank(n, 2) for n in seen), {}).latest("models", "model")
    assert [m["what"] for m in shards.Ranks(models).missing()] == what


def ranks(*weights: tuple[str, str, str], of: tuple[int, ...] = (), updates: int = 8) -> list[Any]:
    """A run of as many ranks (or of those ranks, a process each).

    Each has its frozen `w`, and its trained `q.lora_a` before and after.
    """
    of = of or tuple(range(len(weights)))
    many = max(of) + 1
    made: list[Any] = [run(rank=0, ranks=many), capture("loaded")]
    for number, (frozen, before, after) in enumerate(weights):
        model = f"m{number}"
        if number:
            made.append(models(model, number, of[number], many))
        made += held(model, frozen, before, after, updates)
    return made


def held(model: str, frozen: str, before: str, after: str, updates: int = 8) -> list[Any]:
    made: list[Any] = []
    for sequence, (point, digest) in enumerate((("start", before), ("end", after))):
        made.append(capture(point, model=model, sequence=sequence, updates=updates if point == "end" else 0))
        ref = f"r@{point}" + ("" if model == "m0" else f":{model}")
        made.append(parameter(ref, "w", frozen, trainable=not frozen))
        made.append(parameter(ref, "q.lora_a", digest, role="lora_a", trainable=True))
    return made


def models(model: str, process: int, rank: int, ranks: int) -> Made:
    return "models", {
        "run": "r",
        "model": model,
        "process": process,
        "class": "Model",
        "updates": 8,
        "rank": rank,
        "ranks": ranks,
    }


TWINS = [
    *ranks(("w", "a", "b"), ("w", "a", "b")),
    models("m2", 0, 0, 2),
    models("m3", 1, 1, 2),
    *held("m2", "w", "x", "y"),
    *held("m3", "w", "x", "y"),
]
"""Two adapters a rank, which have nothing to do with each other."""


@pytest.mark.parametrize(
    ("made", "faults"),
    [
        (ranks(("w", "a", "b"), ("w", "a", "b"), ("w", "a", "b")), [False, False]),
        (ranks(("w", "a", "b"), ("w", "a", "c")), [True]),
        (ranks(("w", "a", "b"), ("w", "x", "y")), [True]),
        (ranks(("w0", "a", "b"), ("w1", "x", "y")), []),  # a model that is split over its ranks
        (ranks(("w0", "zeros", "b"), ("w1", "zeros", "y")), []),
        (TWINS, [False]),
        # two launches
        (ranks(("w", "a", "b"), ("w", "a", "b"), ("w", "a", "c"), ("w", "a", "c"), of=(0, 1, 0, 1)), [False]),
        ([run(), capture("loaded"), capture("start"), capture("end", updates=8)], []),
    ],
    ids=["together", "apart", "seeded", "split", "split zeros", "twins", "launches", "alone"],
)
def test_ranks_that_train_one_model_hold_the_same_weights(made: list[Any], faults: list[bool]) -> None:
    assert [row["fault"] for row in ask(evidence(*made), "ranks-diverged", A, B)] == faults
