"""Programs with threads.

Plain and watched print the same, nothing hangs, and what each thread trained is captured.
"""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from forensics.watch.lock import Lock, is_mine
from tests.support import watched

HEAD = """
import faulthandler, hashlib, queue, sys, threading, time
faulthandler.dump_traceback_later(100, exit=True)
sys.setswitchinterval(1e-6)
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim, numpy as np
from mlx.utils import tree_flatten
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.a, self.o = nn.Embedding(64, 16), nn.Linear(16, 16), nn.Linear(16, 64)
    def __call__(self, x):
        return self.o(nn.gelu(self.a(self.e(x))))
def batches(n, seed=0):
    drawn = np.random.RandomState(seed)
    return [mx.array(drawn.randint(0, 64, (4, 9))) for _ in range(n)]
def loss_fn(m, b):
    return nn.losses.cross_entropy(m(b[:, :-1]), b[:, 1:]).mean()
def digest(m):
    weights = [np.array(array).tobytes() for _, array in sorted(tree_flatten(m.parameters()))]
    return hashlib.sha256(b"".join(weights)).hexdigest()[:16]
"""
CHECKPOINTS = """
mx.random.seed(7)
m = Net(); o = optim.Adam(1e-2); step = nn.value_and_grad(m, loss_fn); jobs = queue.Queue()
def writer():
    while (job := jobs.get()) is not None:
        mx.save_safetensors(f"ck{job[0] % 3}.safetensors", job[1])
thread = threading.Thread(target=writer); thread.start()
for i, b in enumerate(batches(40)):
    loss, grads = step(m, b); o.update(m, grads); mx.eval(m.parameters(), o.state)
    weights = dict(tree_flatten(m.parameters())); mx.eval(weights); jobs.put((i, weights))
jobs.put(None); thread.join()
print(digest(m), loss.item())
"""
TRAINERS = """
def work(k, out):
    with mx.stream(mx.new_stream(mx.cpu)):
        mx.random.seed(k); m = Net(); mx.eval(m.parameters())
        o = optim.Adam(1e-2); step = nn.value_and_grad(m, loss_fn); losses = []
        for i, b in enumerate(batches(8, k)):
            loss, grads = step(m, b); o.update(m, grads); mx.eval(m.parameters(), o.state)
            losses.append(loss.item())
            if i % 3 == 2: mx.save_safetensors(f"t{k}.safetensors", dict(tree_flatten(m.parameters())))
        out[k] = (digest(m), losses)
out = {}
threads = [threading.Thread(target=work, args=(k, out)) for k in range(THREADS)]
[t.start() for t in threads]; [t.join() for t in threads]
# mlx ends the threads of their streams; a process that exits meanwhile aborts, with us or without
time.sleep(0.5)
for k in sorted(out): print(k, out[k])
"""
EVALUATION = """
mx.random.seed(7)
m, other = Net(), Net(); mx.eval(m.parameters(), other.parameters())
o = optim.Adam(1e-2); step = nn.value_and_grad(m, loss_fn); stop = threading.Event()
def evaluate():
    with mx.stream(mx.new_stream(mx.cpu)):
        while not stop.is_set():
            mx.eval(loss_fn(other, batches(1)[0])); other.train(False); other.freeze(); other.unfreeze()
thread = threading.Thread(target=evaluate); thread.start()
for b in batches(40):
    loss, grads = step(m, b); o.update(m, grads); mx.eval(m.parameters(), o.state)
stop.set(); thread.join(); time.sleep(0.5)
print(digest(m), loss.item())
"""
PROGRAMS = {
    "a thread that writes checkpoints": (CHECKPOINTS, 1),
    "two threads that train": (TRAINERS.replace("THREADS", "2"), 2),
    "three threads that train": (TRAINERS.replace("THREADS", "3"), 3),
    "eight threads that train": (TRAINERS.replace("THREADS", "8"), 8),
    "a thread that evaluates": (EVALUATION, 1),
}


def held_to_plain(directory: Path, name: str) -> None:
    program, trained = PROGRAMS[name]
    plain = watched.run(directory / "plain", HEAD + program, watch=False)
    seen = watched.run(directory / "watched", HEAD + program)
    assert (seen.status, seen.stdout, seen.stderr) == (plain.status, plain.stdout, plain.stderr)
    assert plain.status == 0, plain.stderr
    ends = {row["model"]: row["updates"] for row in seen.rows("captures") if row["point"] == "end"}
    assert list(ends.values()) == ([8] * trained if trained > 1 else [40]), (
        "each model that was trained has its last state"
    )
    assert [row["what"] for row in seen.rows("missing")] == []
    updates = {row["model"]: row["updates"] for row in seen.rows("models")}
    assert {model: updates[model] for model in ends} == ends


@pytest.mark.parametrize(
    "name", ["a thread that writes checkpoints", "three threads that train", "a thread that evaluates"]
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
