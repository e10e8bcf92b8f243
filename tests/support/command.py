"""Run `forensics` as a user does, in a process of its own, and look at what its store holds."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from forensics.store.store import Store

LOOP = """
    import sys
    import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.out = nn.Embedding(16, 8), nn.Linear(8, 16)
        def __call__(self, x):
            return self.out(self.embed(x))

    mx.random.seed(3)
    model, optimizer = Net(), optim.SGD(0.1)
    x = mx.array([[1, 2, 3, 4, 5]])
    step = nn.value_and_grad(model, lambda m: nn.losses.cross_entropy(m(x[:, :-1]), x[:, 1:]).mean())
    for i in range(3):
        loss, gradients = step(model)
        optimizer.update(model, gradients)
        mx.eval(model.parameters())
        print(i, round(loss.item(), 4), *sys.argv[1:], flush=True)
"""
"""A hand-written loop over a model of its own: no mlx-lm, done in a second."""


@dataclass
class Done:
    """A finished command."""

    status: int
    out: str
    err: str
    store: Store

    def head(self, run: str) -> dict[str, Any]:
        """The run's row of `runs`."""
        return dict(json.loads((self.store.runs / run / "manifest.json").read_text())["head"])

    def points(self, run: str) -> list[str]:
        return [capture.ref.partition("@")[2] for capture in self.store.run(run).captures]


def forensics(directory: Path, *words: str, env: dict[str, str] | None = None, **how: Any) -> Done:
    """`forensics WORDS` in `directory`, with the store there."""
    done = subprocess.run(
        command(*words),
        cwd=directory,
        env=environment(env),
        capture_output=True,
        text=True,
        check=False,
        **how,
    )
    return Done(done.returncode, done.stdout, done.stderr, Store(directory / ".forensics"))


BETWEEN = """
import json, pathlib, resource, subprocess, sys
done = subprocess.run(sys.argv[2:], capture_output=True, text=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
unit = 1 if sys.platform == "darwin" else 1024
usage = [done.returncode, done.stderr, used.ru_maxrss * unit, used.ru_utime + used.ru_stime]
pathlib.Path(sys.argv[1]).write_text(json.dumps(usage))
"""
"""A small process between a test and a command: what a process used begins with what the one that started it
held.
"""


@dataclass
class Usage:
    """What a finished command and its children took."""

    status: int
    err: str
    peak: int  # bytes of its largest process
    seconds: float  # of processor time


def measured(directory: Path, *words: str) -> Usage:
    """`forensics WORDS` in `directory`, and what it took."""
    with tempfile.TemporaryDirectory() as place:
        usage = Path(place) / "usage"
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", BETWEEN, str(usage), *command(*words)],
            cwd=directory,
            env=environment(),
            check=True,
        )
        return Usage(*json.loads(usage.read_text()))


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "forensics", *words]


def environment(more: dict[str, str] | None = None) -> dict[str, str]:
    """Ours, without what would reach into the run: a watch of the tests themselves, another store."""
    held = {k: v for k, v in os.environ.items() if not k.startswith("FORENSICS_")}
    return {**held, **(more or {})}


@contextlib.contextmanager
def readable_only(place: Path) -> Iterator[None]:
    """A directory as on a filesystem that may only be read; skips where none can be mounted."""
    if subprocess.run(
        ["mount", "--bind", str(place), str(place)], capture_output=True, check=False
    ).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def write(directory: Path, text: str, name: str = "train.py") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(textwrap.dedent(text))
    return path
