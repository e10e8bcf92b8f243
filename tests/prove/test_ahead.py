"""Repeats side by side: order, what is left out, and the end of programs that still run."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from forensics.prove import ahead, kernels, process, proof
from forensics.prove.ahead import Ahead, at_once
from forensics.prove.repeat import Repeat


def test_one_runs_while_another_does() -> None:
    met = threading.Barrier(2, timeout=30)

    def make(findings: tuple[str, ...], number: int) -> Repeat:
        met.wait()
        return Repeat(number, 0.0)

    with Ahead(make, 2) as runs:
        runs.begin([(("a",), 0), (("a",), 1)])
        assert [runs.take(("a",), number).status for number in (0, 1)] == [0, 1]


@pytest.mark.parametrize("number", [1, 2])
def test_what_nobody_asks_for_is_not_begun(number: int) -> None:
    made: list[tuple[tuple[str, ...], int]] = []

    def make(findings: tuple[str, ...], number: int) -> Repeat:
        made.append((findings, number))
        time.sleep(0.05)
        return Repeat(0, 0.0)

    with Ahead(make, number) as runs:
        runs.begin([(("a",), each) for each in range(20)] + [(("b",), 0)])
        runs.take(("a",), 0)
        runs.leave(("a",))
        runs.take(("b",), 0)
    assert (("b",), 0) in made and len(made) < 6


def test_a_program_that_still_runs_is_ended(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "import time; print('begun', flush=True); time.sleep(600)"]
    said = tmp_path / "said"

    def make(findings: tuple[str, ...], number: int) -> Repeat:
        return Repeat(process.ran(words, tmp_path, dict(os.environ), said, 600.0), 0.0)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Ahead(make, 2) as runs:
        runs.begin([(("a",), 0)])
        while not said.exists() or not said.read_text():
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert time.monotonic() - began < 60


def test_as_many_as_the_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(ahead, "_available", lambda: 16 << 30)
    assert at_once(500 << 20) == 2 and at_once(4 << 30) == 1
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert at_once(1 << 20) == 1


def test_kernels_of_other_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What mlx compiled is there in a repeat, and what a repeat compiled is there in the next run."""
    common, own = tmp_path / "common", tmp_path / "own"
    monkeypatch.setattr(kernels.tempfile, "gettempdir", lambda: str(common))
    for place, name in ((common, "a"), (own, "b")):
        (place / "mlx" / "1.0" / "cpu").mkdir(parents=True)
        (place / "mlx" / "1.0" / "cpu" / f"{name}.so").write_bytes(name.encode())
    kernels.lend(own)
    kernels.give_back(own)
    for place in (common, own):
        files = {path.name: path.read_bytes() for path in (place / "mlx" / "1.0" / "cpu").iterdir()}
        assert files == {"a.so": b"a", "b.so": b"b"}


def test_the_record_is_read_before_threads_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection refuses a second call while one is under way."""
    readers: list[str] = []

    class Source:
        def options(self) -> dict[str, object]:
            readers.append(threading.current_thread().name)
            return {}

        def written(self) -> list[Path]:
            return []

    proving = proof.Proving.__new__(proof.Proving)
    for name, value in {
        "source": Source(), "launch": SimpleNamespace(argv=(), began=0.0, cwd=tmp_path),
        "store": SimpleNamespace(root=tmp_path), "named": SimpleNamespace(name="run"), "_again": True,
        "record": SimpleNamespace(seconds=1.0, harm={}), "_steps": None, "_facts": {},
    }.items():  # fmt: skip
        setattr(proving, name, value)
    monkeypatch.setattr(proof, "run", lambda *asked: Repeat(0, 0.0))
    monkeypatch.setattr(proof.proofs, "remember_repeat", lambda *kept: None)
    proving._repeat((), 0)
    with Ahead(proving._repeat, 2) as runs:
        runs.begin([(("a",), number) for number in range(4)])
        assert all(runs.take(("a",), number).status == 0 for number in range(4))
    assert readers == [threading.current_thread().name]
