"""Programs with threads.

Plain and watched print the same, nothing hangs, and what each thread trained is captured.
"""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from forensics.watch.lock import Lock, is_mine
from tests.harm.threads import HEAD, PROGRAMS, TRAINERS
from tests.support import watched


def held_to_plain(directory: Path, name: str) -> None:
    program, updates = PROGRAMS[name]
    plain = watched.run(directory / "plain", HEAD + program, watch=False)
    seen = watched.run(directory / "watched", HEAD + program)
    assert (seen.status, seen.stdout, seen.stderr) == (plain.status, plain.stdout, plain.stderr)
    assert plain.status == 0, plain.stderr
    ends = {row["model"]: row["updates"] for row in seen.rows("captures") if row["point"] == "end"}
    assert list(ends.values()) == updates, "each model that was trained has its last state"
    assert [row["what"] for row in seen.rows("missing")] == []
    models = {row["model"]: row["updates"] for row in seen.rows("models")}
    assert {model: models[model] for model in ends} == ends


@pytest.mark.parametrize(
    "name",
    [
        "a thread that writes checkpoints",
        pytest.param("three threads that train", marks=pytest.mark.long),
        "a thread that evaluates",
    ],
)
def test_a_program_with_threads_is_as_without_us(name: str, tmp_path: Path) -> None:
    held_to_plain(tmp_path, name)


@pytest.mark.long
@pytest.mark.parametrize("round_", range(4))
@pytest.mark.parametrize("name", PROGRAMS)
def test_and_again(name: str, round_: int, tmp_path: Path) -> None:
    held_to_plain(tmp_path / str(round_), name)


def test_a_model_whose_thread_outlives_the_program_is_told_as_missing(tmp_path: Path) -> None:
    program = TRAINERS.replace("THREADS", "1").replace("out[k] =", "out[k] = 0; waiting.wait(); out[k] =")
    program = program.replace("out = {}", "waiting, out = threading.Event(), {}")
    program = program.replace("args=(k, out))", "args=(k, out), daemon=True)")
    program = program.replace(
        "[t.join() for t in threads]", "[time.sleep(0.01) for _ in range(2000) if 0 not in out]"
    )
    seen = watched.run(tmp_path, HEAD + program)
    assert all(row["updates"] < 8 for row in seen.rows("captures"))
    assert [row["what"] for row in seen.rows("missing")] == ["the last state of m0"]


def test_the_lock_is_let_go_while_foreign_code_runs() -> None:
    """A model's forward may wait for another thread, and that one for us."""
    lock, passed = Lock(), threading.Event()

    def other() -> None:
        with lock:
            passed.set()

    with lock, lock:
        thread = threading.Thread(target=other)
        thread.start()
        assert not passed.wait(0.05)
        with lock.released():
            assert passed.wait(10)
    thread.join()


def test_what_a_thread_left_that_has_ended_may_be_read_by_any() -> None:
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    assert is_mine(thread.ident) and is_mine(threading.get_ident()) and is_mine(None)
    waiting = threading.Event()
    alive = threading.Thread(target=waiting.wait)
    alive.start()
    assert not is_mine(alive.ident)
    waiting.set()
    alive.join()
