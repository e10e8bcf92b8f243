"""Programs with threads, plain and captured, many rounds each, with yields forced where ours begins and ends.

A round holds where output, errors and exit are those of the plain runs and every capture is complete.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.harm.counts import Count
from tests.support.command import command, environment, forensics

PLAIN = 20  # plain runs that must agree before a program is taken

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
PROGRAMS: dict[str, tuple[str, list[int]]] = {
    "a thread that writes checkpoints": (CHECKPOINTS, [40]),
    "two threads that train": (TRAINERS.replace("THREADS", "2"), [8] * 2),
    "three threads that train": (TRAINERS.replace("THREADS", "3"), [8] * 3),
    "eight threads that train": (TRAINERS.replace("THREADS", "8"), [8] * 8),
    "a thread that evaluates": (EVALUATION, [40]),
}
"""Each program, and the updates that each model of it gets."""

YIELDS = """
import random as _random, sys, time as _time
if "_forensics_watch" in sys.modules:
    import importlib
    _lock = importlib.import_module("_forensics_watch.lock").Lock
    _run = importlib.import_module("_forensics_watch.run").Watch
    _draws = _random.Random({seed})
    def _yielding(function):
        def yields(*args, **kwargs):
            _time.sleep(_draws.choice((0, 0, 0, 1e-6, 1e-4, 1e-3)))
            try: return function(*args, **kwargs)
            finally: _time.sleep(_draws.choice((0, 0, 0, 1e-6, 1e-4)))
        return yields
    for _name in ("__enter__", "__exit__", "released"):
        setattr(_lock, _name, _yielding(getattr(_lock, _name)))
    for _name in ("within", "looking", "_append"):
        setattr(_run, _name, _yielding(getattr(_run, _name)))
"""
"""Every hook of ours looks through these methods: another thread is let in before and after each.

Plain, these lines do nothing.
"""


def run(seed: int, count: int, place: Path) -> Count:
    """So many rounds, spread over the programs."""
    done = Count("threads: output, errors and exit as without, every capture complete", "")
    names = list(PROGRAMS)
    rounds = {name: len(range(each, count, len(names))) for each, name in enumerate(names)}
    captures = [0, 0]
    for name in (name for name in names if rounds[name]):
        expected = _agreed(place / "plain", name, min(PLAIN, rounds[name]))
        for number in range(rounds[name]):
            directory = place / "watched"
            wrong, counted = _round(directory, name, seed + number, expected)
            captures = [sum(pair) for pair in zip(captures, counted, strict=True)]
            done.add(f"{name}, round {number}", wrong)
            shutil.rmtree(directory)
    done.how = f"{len(rounds)} programs of two to nine threads, {max(rounds.values())} rounds each"
    done.notes.append(f"{captures[0]} of {captures[1]} captures complete")
    return done


def _agreed(directory: Path, name: str, times: int) -> tuple[int, str, str]:
    """What the plain runs print and end with; they must agree, else nothing can be held to them."""
    seen = set()
    for _ in range(times):
        directory.mkdir(parents=True)
        done = subprocess.run(
            [sys.executable, "-c", HEAD + PROGRAMS[name][0]],
            cwd=directory, env=environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        seen.add((done.returncode, done.stdout, done.stderr))
        shutil.rmtree(directory)
    assert len(seen) == 1, f"{name}: plain runs differ: {seen}"
    return seen.pop()


def _round(
    directory: Path, name: str, seed: int, expected: tuple[int, str, str]
) -> tuple[str | None, tuple[int, int]]:
    """(what is wrong, (captures that are complete, captures))."""
    directory.mkdir(parents=True)
    program, updates = PROGRAMS[name]
    text = HEAD + program.replace("\n", YIELDS.format(seed=seed) + "\n", 1)
    words = command("--store", "store", "capture", "--quiet", "--name", "run", "--")
    done = subprocess.run(
        [*words, sys.executable, "-c", text],
        cwd=directory, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if (done.returncode, done.stdout, done.stderr) != expected:
        ran = (done.returncode, done.stdout, done.stderr)
        return f"{expected!r} became {ran!r}"[:1200], (0, 1)
    shown = forensics(directory, "show", "run", "--json", "--store", "store")
    if shown.status:
        return f"show: exit {shown.status}: {shown.err[-300:]}", (0, 1)
    run_: dict[str, Any] = json.loads(shown.out)
    captures = run_["captures"]
    complete = sum(capture["complete"] for capture in captures)
    ends = {
        capture["model"]: capture["updates"] for capture in captures if capture["point"].startswith("end")
    }
    wrong = None
    if complete < len(captures) or not run_["complete"] or run_["missing"]:
        wrong = f"{complete} of {len(captures)} captures complete; missing {run_['missing']!r}"[:600]
    elif sorted(ends.values()) != updates:
        wrong = f"the last states are those after {ends} updates, not {updates}"
    return wrong, (complete, len(captures))
