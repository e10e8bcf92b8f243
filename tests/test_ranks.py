"""Programs of several ranks: one run, the first rank its main model, a data set that each saw a part of counted once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forensics.evidence.spool import Spool
from forensics.store.sealing import shards
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
    return {"source": "file", "path": "/d/train.jsonl", "records": 8, "purpose": "train", "place": "t.py:1", **told, **columns}


def nothing(processes: Any) -> dict[str, Any]:
    return {}


def test_ranks_use_a_file_together(tmp_path: Path) -> None:
    found = shards.datasets(spool(tmp_path, rank(1, 2, file([1, 3, 7])), rank(0, 2, file([0, 2, 4]))), nothing)
    assert [(row["process"], row["used"], row["unused_between"]) for row in found] == [(1, 6, 2)]


def test_what_one_rank_could_not_look_for_is_not_looked_for_by_none(tmp_path: Path) -> None:
    found = shards.datasets(spool(tmp_path, rank(0, 2, file(None)), rank(1, 2, file([1, 2]))), nothing)
    assert [(row["used"], row["unused_between"]) for row in found] == [(2, 0)]


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
def test_ranks_that_were_not_watched_are_missing(tmp_path: Path, seen: tuple[int, ...], what: list[str]) -> None:
    assert [m["what"] for m in shards.unseen(spool(tmp_path, *(rank(n, 2) for n in seen), {}))] == what


def ranks(*weights: tuple[str, str, str], updates: int = 8) -> list[Any]:
    """A run of as many ranks; each has its frozen `w`, and its trained `q.lora_a` before and after."""
    made: list[Any] = [run(rank=0, ranks=len(weights)), capture("loaded")]
    for number, (frozen, before, after) in enumerate(weights):
        model = f"m{number}"
        if number:
            made.append(models(model, number, len(weights)))
        for sequence, (point, digest) in enumerate((("start", before), ("end", after))):
            end = point == "end"
            made.append(capture(point, model=model, sequence=sequence, updates=updates if end else 0))
            ref = f"r@{point}" + ("" if model == "m0" else f":{model}")
            made.append(parameter(ref, "w", frozen, trainable=False))
            made.append(parameter(ref, "q.lora_a", digest, role="lora_a", trainable=True))
    return made


def models(model: str, number: int, count: int) -> Made:
    return "models", {"run": "r", "model": model, "process": number, "class": "Model", "updates": 8, "rank": number, "ranks": count}


@pytest.mark.parametrize(
    ("made", "faults"),
    [
        (ranks(("w", "a", "b"), ("w", "a", "b"), ("w", "a", "b")), [False, False]),
        (ranks(("w", "a", "b"), ("w", "a", "c")), [True]),
        (ranks(("w", "a", "b"), ("w", "x", "y")), [True]),
        (ranks(("w0", "a", "b"), ("w1", "x", "y")), []),  # a model that is split over its ranks
        ([run(), capture("loaded"), capture("start"), capture("end", updates=8)], []),
    ],
    ids=["together", "apart", "seeded", "split", "alone"],
)
def test_ranks_that_train_one_model_hold_the_same_weights(made: list[Any], faults: list[bool]) -> None:
    assert [row["fault"] for row in ask(evidence(*made), "ranks-diverged", A, B)] == faults
