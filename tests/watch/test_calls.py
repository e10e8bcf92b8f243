"""What a program counts, patches or overrides, it sees called by itself alone.

Its warnings and loggers name its own lines.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import training, watched

COUNTED = """
import collections, hashlib, inspect, logging, math, os, sys, threading, time, warnings

seen = collections.Counter()

class Kept(type(model)):
    def parameters(self):
        seen["parameters"] += 1
        return super().parameters()

    def __len__(self):
        seen["len of a model"] += 1
        return 3

class Rated(optim.Adam):
    @property
    def learning_rate(self):
        seen["learning_rate"] += 1
        return optim.Adam.learning_rate.fget(self)

    @learning_rate.setter
    def learning_rate(self, value):
        optim.Adam.learning_rate.fset(self, value)

    @property
    def state(self):
        seen["optimizer.state"] += 1
        return self._state

    @state.setter
    def state(self, value):
        self._state = value

class Rows:
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        seen["len of a data set"] += 1
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i], 0

def counted(owner, name):
    original, label = getattr(owner, name), f"{owner.__name__}.{name}"
    def call(*args, **kwargs):
        seen[label] += 1
        return original(*args, **kwargs)
    setattr(owner, name, call)

PATCHED = {
    mx: "eval square isnan isfinite depends stop_gradient argmax where stack",
    json: "dumps loads", hashlib: "sha256", math: "isfinite sqrt", inspect: "signature",
    time: "time perf_counter", os: "getpid write fstat close open", threading: "get_ident enumerate",
}
model.__class__ = Kept
lora()
for owner, names in PATCHED.items():
    for name in names.split():
        counted(owner, name)
from mlx_lm.tuner.trainer import TrainingArgs, train

optimizer, value_and_grad = Rated(1e-3), nn.value_and_grad(model, loss)
for i in range(3):
    value, gradients = value_and_grad(model, batch)
    optimizer.update(model, gradients)
    mx.eval(model.parameters(), optimizer.state)
arguments = TrainingArgs(batch_size=2, iters=2, val_batches=1, steps_per_report=100, steps_per_eval=2,
    steps_per_save=100, max_seq_length=64, adapter_file="adapters.safetensors")
train(model, optim.Adam(1e-4), Rows(rows), Rows(rows), arguments)
for name in sorted(seen):
    print("seen", name, seen[name])
"""


def lines(ran: watched.Ran, word: str) -> list[str]:
    return [line for line in ran.stdout.splitlines() if line.startswith(word)]


def both(name: str, body: str) -> tuple[watched.Ran, watched.Ran]:
    plain, seen = (
        training.run_text(f"calls-{name}", training.HEAD + body, watch=watch) for watch in (False, True)
    )
    assert plain.status == 0, plain.stderr
    assert seen.processes and [row["what"] for row in seen.rows("missing")] == []
    return plain, seen


@pytest.mark.long
def test_what_a_program_counts_is_called_by_itself_alone() -> None:
    plain, seen = both("counted", COUNTED)
    assert lines(plain, "seen mlx.core.eval") and lines(plain, "seen learning_rate")
    assert lines(seen, "seen") == lines(plain, "seen")
    assert round(seen.rows("steps")[0]["learning_rate"], 6) == 0.001


@pytest.mark.long
def test_what_a_trainer_measured_on_validation_rows_is_kept_with_the_updates_before_it() -> None:
    trains = """
from mlx_lm.tuner.trainer import TrainingArgs, train

class Rows(list):
    def __getitem__(self, index):
        return (list.__getitem__(self, index), 0)

lora()
arguments = TrainingArgs(batch_size=2, iters=4, val_batches=1, steps_per_report=100, steps_per_eval=2,
    steps_per_save=100, max_seq_length=64, adapter_file="adapters.safetensors")
train(model, optim.Adam(1e-4), Rows(rows), Rows(rows), arguments)
"""
    _, seen = both("validated", trains)
    given = [row["detail"] for row in seen.rows("events") if row["kind"] == "evaluate"]
    assert [each["updates"] for each in given] == [0, 1, 3]
    assert all(0 < each["loss"] < 20 for each in given)


PLACES = """
import logging, sys, warnings

class Warns(type(model)):
    def __call__(self, *args, **kwargs):
        told("forward")
        return super().__call__(*args, **kwargs)

class Rated(optim.Adam):
    def apply_single(self, *args):
        told("apply_single", 3)
        return super().apply_single(*args)

def told(what, level=2):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn("told", stacklevel=level + 1)
    stream = []
    handler = logging.Handler()
    handler.emit = lambda record: stream.append((record.filename, record.lineno))
    logger = logging.getLogger("told")
    logger.handlers, logger.propagate = [handler], False
    logger.warning("told", stacklevel=level + 1)
    place = caught[0].filename.rpartition("/")[2], caught[0].lineno
    ours, frame = 0, sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        ours, frame = ours + (name.startswith("<forensics") or "/forensics/watch/" in name), frame.f_back
    if place[0] == "program.py" or level == 3:
        print("place", what, *place, *stream[0])
        print("frames", what, ours)

model.__class__ = Warns
lora()

def loss(model, batch):
    logits = model(batch[:, :-1])
    return nn.losses.cross_entropy(logits, batch[:, 1:]).mean()

def outer(f):
    return f()

optimizer, value_and_grad = Rated(1e-3), nn.value_and_grad(model, loss)
value, gradients = value_and_grad(model, batch)
optimizer.update(model, gradients)
state = [model.state, optimizer.state]
step = mx.compile(lambda b: optimizer.update(model, value_and_grad(model, b)[1]), inputs=state, outputs=state)
step(batch)
mx.grad(lambda x: (told("grad"), x * x)[1])(mx.array(1.0))
mx.compile(lambda x: (told("compile"), x * x)[1])(mx.array(1.0))
mx.vmap(lambda x: (told("vmap"), x * x)[1])(mx.ones(2))
"""


@pytest.mark.long
def test_warnings_and_loggers_name_the_line_that_they_would_without_us() -> None:
    plain, seen = both("places", PLACES)
    assert len(lines(plain, "place")) > 5 and any(
        "program.py" in line for line in lines(plain, "place forward")
    )
    assert lines(seen, "place") == lines(plain, "place")


def test_frames_of_ours_are_few() -> None:
    """A stack that a program prints in the midst of a gradient shows at most ten of ours."""
    seen = both("places", PLACES)[1]
    counts = [int(line.rpartition(" ")[2]) for line in lines(seen, "frames")]
    assert counts and 0 < max(counts) <= 10


@pytest.mark.long
def test_a_warning_that_came_while_we_asked_is_shown_when_it_is_the_programs() -> None:
    body = """
import warnings

class Warns(type(model)):
    def __call__(self, *args, **kwargs):
        warnings.warn("told once")
        return super().__call__(*args, **kwargs)

model.__class__ = Warns
lora()
optimizer, value_and_grad = optim.Adam(1e-3), nn.value_and_grad(model, loss)
for i in range(2):
    value, gradients = value_and_grad(model, batch)
    optimizer.update(model, gradients)
"""
    plain, seen = both("warned", body)
    # the line, and its source
    assert (
        plain.stderr.count("told once") == 2 and seen.stderr.replace("/watched/", "/plain/") == plain.stderr
    )


def test_a_traceback_of_what_came_through_our_wrappers_has_no_frame_of_ours(tmp_path: Path) -> None:
    program = """
    import threading
    import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim

    model, optimizer = nn.Linear(4, 4), optim.SGD(0.1)

    def save():
        mx.save_safetensors("/nowhere/x.safetensors", {"a": mx.zeros(2)})

    def train():
        def loss(model, x):
            raise ValueError("on purpose")
        try:
            nn.value_and_grad(model, loss)(model, mx.ones((2, 4)))
        except ValueError as error:
            raise RuntimeError("while it trained") from error

    for work in (save, train):
        thread = threading.Thread(target=work, name=work.__name__)
        thread.start()
        thread.join()
    try:
        optimizer.update(model, 5)
    except Exception:
        train()
    """
    plain, seen = (
        watched.run(tmp_path / name, program, watch=name == "watched") for name in ("plain", "watched")
    )
    assert plain.status == seen.status == 1 and plain.stderr.count("Traceback") > 4
    assert seen.stderr.replace("/watched/", "/plain/") == plain.stderr
