"""A small sample of what `python -m tests.harm` tries; nightly draws it all, with a fresh seed."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

pytestmark = pytest.mark.harm
SEED = 1000
SAMPLE = {
    "trial": 16,
    "kills": 14,
    "disks": 6,
    "bundles": 120,
    "models": 80,
    "statements": 60,
    "secretruns": 14,
    "threads": 10,
}


@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_of_each_promise_holds(name: str, tmp_path: Path) -> None:
    count = importlib.import_module(f"tests.harm.{name}").run(SEED, SAMPLE[name], tmp_path)
    assert count.tried == SAMPLE[name]
    assert count.broken == []
