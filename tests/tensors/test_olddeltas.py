"""Differences are measured once, and remembered by their digests."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from forensics.records import Delta
from forensics.tensors import pastdeltas

X, Y, Z = ("a" * 64, "b" * 64, "c" * 64)
PAIRS = [(X, Y), (Y, Z)]
DELTAS = [Delta(X, Y, 1.5, math.inf, None, math.nan, 0.25), Delta(Y, Z, 0.0, 1e-300, 0.1, 1.0, 0.0)]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_remembered_whatever_the_order() -> None:
    assert pastdeltas.recall(PAIRS) is None
    pastdeltas.remember(PAIRS, DELTAS)
    found = pastdeltas.recall(PAIRS[::-1])
    assert found is not None and repr(found) == repr(DELTAS)
    assert pastdeltas.recall(PAIRS[:1]) is None


def test_what_was_not_all_measured_is_measured_again() -> None:
    pastdeltas.remember(PAIRS, DELTAS[:1])
    assert pastdeltas.recall(PAIRS) is None


def test_marks_are_no_digests(tmp_path: Path) -> None:
    pairs = [("bytes 1", "bytes 2")]
    pastdeltas.remember(pairs, [Delta("bytes 1", "bytes 2", 1.0, 1.0, 1.0, 1.0, 1.0)])
    assert pastdeltas.recall(pairs) is None and not any(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "2\n", "{", "HEAD\n{", "HEAD\n[]", 'HEAD\n{"digest_a": "a"}'])
def test_a_broken_cache_is_none(tmp_path: Path, text: str) -> None:
    pastdeltas.remember(PAIRS, DELTAS)
    (path,) = tmp_path.rglob("*.jsonl")
    path.write_text(text.replace("HEAD", path.read_text().splitlines()[0]))
    assert pastdeltas.recall(PAIRS) is None
