"""What the report shows as declared and observed is what detectors compared."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.judge.declarations import declared
from forensics.judge.library import load
from forensics.judge.pair import Pair
from tests.judge.test_detect_training import A, B, faulty, said, trained
from tests.support.evidence import Made, capture, event, evidence, row, run, step

SEEN = {"origin": "observed", "run": None, "capture": B, "via": "modules", "strength": None}


def lines(*made: Any) -> dict[str, tuple[str, str, bool]]:
    """Setting to declared, observed, agrees."""
    session = evidence(*made)
    Pair(session, load(), A, B).fill("settings_compared")
    found = declared(session)
    return {line.what: (line.declared, line.observed, line.agrees) for line in found}


@pytest.mark.parametrize(
    "scales",
    [
        [{"scale": 4.0}],
        [{"scale": 20.0}],
        [{"rank": 2, "alpha": 8.0}],
        [{"scale": 20.0}, {"scale": 4.0}],
        [{"scale": 4.0}, {"scale": 20.0, "via": "saved-config"}],
    ],
)
def test_the_page_disagrees_where_the_detector_does(scales: list[dict[str, Any]]) -> None:
    made: list[Made] = [*trained("q.lora_b"), *[said(**each) for each in scales], said(scale=4.0, **SEEN)]
    fault = bool(faulty(evidence(*made), "lora-scale-mismatch"))
    assert lines(*made)["adapter scale"][2] is not fault


def test_a_setting_that_a_detector_disputes_is_told_in_its_words() -> None:
    made: list[Made] = [*trained("q.lora_b"), said(keys='["q", "v"]'), said(keys='["q"]', **SEEN)]
    other = row("modules", capture=B, module="v", canonical="v", kind="linear", layer=0)
    assert faulty(evidence(*made, other), "lora-partial")[0]["observed"] == "only q is adapted"
    assert lines(*made, other)["adapted modules"] == ("q, v", "only q is adapted", False)


def test_a_declared_adapter_that_is_not_there() -> None:
    made = trained("q.lora_b")
    assert lines(*made, said(rank=8))["adapter rank"] == ("8", "no adapter", False)
    assert lines(*made, said(rank=8), said(rank=8, **SEEN))["adapter rank"] == ("8", "8", True)
    assert lines(run(), capture("loaded"), capture("end"), said(rank=8))["adapter rank"] == (
        "8",
        "not seen",
        True,
    )


@pytest.mark.parametrize(("accumulation", "agrees"), [(1, False), (2, True)])
def test_updates_and_rate_of_a_trainer(accumulation: int, agrees: bool) -> None:
    told = {"iters": 4, "grad_accumulation_steps": accumulation, "learning_rate": 1e-3}
    steps = [step(n, learning_rate=1e-3) for n in (1, 2)]
    found = lines(*trained("q.lora_b"), *steps, event("train", detail={"declared": told}))
    assert found["updates"] == (str(4 // accumulation), "2", agrees)
    assert found["learning rate"] == ("0.001", "0.001", True)
    told["scheduled"] = True
    assert "learning rate" not in lines(*trained(), *steps, event("train", detail={"declared": told}))
