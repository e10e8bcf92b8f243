"""Which model a run means, and what its captures are called."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.capture.pointnames import Point, main_model, name_points


def model(number: str, process: int = 0, **counts: int) -> dict[str, Any]:
    return {"model": number, "process": process, "updates": 0, "writes": 0, **counts}


@pytest.mark.parametrize(
    ("models", "updates", "generations", "main"),
    [
        ([model("m0"), model("m1", updates=3)], [], [], "m1"),
        ([model("m0", updates=3), model("m1", writes=9)], [], [], "m0"),
        ([model("m0"), model("m1", writes=1)], [], [], "m1"),
        ([model("m0", updates=9), model("m1", 1, updates=2)], [(1.0, 0, "m0"), (2.0, 1, "m1")], [], "m1"),
        ([model("m0", updates=2), model("m1", updates=2)], [], [], "m0"),
        ([model("m0"), model("m1")], [], [(1.0, 0, "m1"), (0.5, 0, "m0")], "m1"),
        ([], [], [], "m0"),
        # of ranks the first, whichever updated last, whoever came first
        (
            [model("m0", 0, updates=2, rank=1), model("m1", 1, updates=2, rank=0)],
            [(2.0, 1, "m1"), (3.0, 0, "m0")],
            [],
            "m1",
        ),
        ([model("m0", 0, rank=0), model("m1", 1, updates=2, rank=1)], [(2.0, 1, "m1")], [], "m1"),
        ([model("m0", 0, rank=0), model("m1", 1, rank=1)], [], [(1.0, 0, "m0"), (2.0, 1, "m1")], "m0"),
    ],
)
def test_the_model_that_a_run_means(
    models: list[dict[str, Any]], updates: list[Any], generations: list[Any], main: str
) -> None:
    assert main_model(models, updates, generations) == main


def test_points_that_happen_again_are_numbered_for_each_model() -> None:
    points = [
        Point(i, p, m, 0, float(i))
        for i, (p, m) in enumerate([("loaded", "m0"), ("start", "m1"), ("start", "m1"), ("start", "m0")])
    ]
    named = name_points("r", points, "m1")
    assert [n.ref for n in named] == ["r@loaded:m0", "r@start", "r@start-2", "r@start:m0"]
    assert [n.directory for n in named] == ["r@loaded.m0", "r@start", "r@start-2", "r@start.m0"]
    assert [(n.ordinal, n.sequence) for n in named] == [(1, 0), (1, 1), (2, 2), (1, 3)]
