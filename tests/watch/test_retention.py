"""Nothing of ours keeps alive what the program has dropped.

Each program counts what lives, watched and plain.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.support import tiny, watched

COUNT = """
import gc, weakref
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
seen = {}
def follow(what, item):
    seen.setdefault(what, []).append(weakref.ref(item))
    return item
def batch(k): return follow("batches", mx.arange(12).reshape(2, 6) + k)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.o = nn.Embedding(16, 8), nn.Linear(8, 16)
    def __call__(self, x): return self.o(self.e(x))
def loss(m, x): return nn.losses.cross_entropy(m(x[:, :-1]), x[:, 1:]).mean()
def made():
    m = follow("models", Net())
    mx.eval(m.parameters())
    return m, follow("optimizers", optim.Adam(1e-2))
def train(m, o, n=2):
    vg = nn.value_and_grad(m, loss)
    for k in range(n):
        value, g = vg(m, batch(k))
        o.update(m, g)
        mx.eval(m.parameters(), o.state, value)
def tell():
    gc.collect()
    for what, items in sorted(seen.items()):
        print(what, sum(each() is not None for each in items), "of", len(items))
"""

PROGRAMS = {
    "sweep": """
for k in range(4):
    m, o = made()
    train(m, o)
    del m, o
    tell()
""",
    "function": """
def one():
    m, o = made()
    train(m, o)
    return m
for k in range(3): kept = one()
tell()
""",
    "traceback": """
errors = []
for k in range(3):
    try:
        m, o = made()
        train(m, o)
        o.update(m, {"e": {"weight": mx.zeros((3, 3))}, "x": 5})
        mx.eval(m.parameters())
        raise ValueError("on purpose")
    except Exception as error:
        errors.append(error)
    del m, o
tell()
for error in errors: error.__traceback__ = None
tell()
""",
    "refused": """
kept = []
def step(m, x): raise RuntimeError("on purpose")
for k in range(3):
    m, o = made()
    try: nn.value_and_grad(m, step)(m, batch(k))
    except RuntimeError as error: kept.append(error)
    train(m, o)
    del m, o
tell()
for error in kept: error.__traceback__ = None
tell()
""",
    "cycle": """
for k in range(3):
    m, o = made()
    holder = type("Holder", (), {})()
    holder.m, holder.o, m.holder = m, o, holder
    train(m, o)
    del holder
    del m, o
tell()
""",
    "compiled": """
from functools import partial
for k in range(3):
    m, o = made()
    state = [m.state, o.state]
    @partial(mx.compile, inputs=state, outputs=state)
    def step(x):
        value, g = nn.value_and_grad(m, loss)(m, x)
        o.update(m, g)
        return value
    for i in range(3): mx.eval(step(batch(i)), state)
    forward = mx.compile(m)
    mx.eval(forward(batch(9)))
    del m, o, state, step, forward
tell()
""",
    "evaluation": """
m, o = made()
train(m, o)
for k in range(5): mx.eval(m(batch(k)))
n = follow("models", Net())
for k in range(3): mx.eval(n(batch(k)))
del n
tell()
""",
    "own finalizer": """
class Named(Net):
    def __del__(self): print("dropped", self.name)
for k in range(2):
    m, o = made()
    m = follow("models", Named())
    m.name = k
    o = optim.SGD(1e-2)
    train(m, o)
    del m, o
tell()
""",
}


def both(tmp_path: Path, program: str) -> tuple[watched.Ran, watched.Ran]:
    seen, plain = (
        watched.run(tmp_path / name, program, watch=name == "watched") for name in ("watched", "plain")
    )
    assert (seen.status, seen.stderr) == (plain.status, plain.stderr)
    assert seen.rows("missing") == []
    return seen, plain


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_dropped_is_dropped(name: str, tmp_path: Path) -> None:
    seen, plain = both(tmp_path, COUNT + PROGRAMS[name])
    assert plain.status == 0, plain.stderr
    assert seen.stdout == plain.stdout
    trained = {row["model"] for row in seen.rows("models") if row["updates"]}
    assert {row["model"] for row in seen.rows("captures") if row["point"] == "end"} == trained


@pytest.mark.long
def test_a_generator_that_is_left_in_the_middle(tmp_path: Path) -> None:
    program = """
import gc, weakref
from mlx_lm import load, stream_generate
from mlx_lm.models.cache import make_prompt_cache
alive = []
for k in range(3):
    m, t = load("model")
    cache = make_prompt_cache(m)
    alive += [weakref.ref(m), weakref.ref(t), weakref.ref(cache[0])]
    answers = stream_generate(m, t, prompt="What color is the sky?", max_tokens=8, prompt_cache=cache)
    next(answers)
    if k == 1: answers.close()
    del m, t, cache, answers
gc.collect()
print(sum(each() is not None for each in alive))
"""
    for name in ("watched", "plain"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model").symlink_to(tiny.cached(), target_is_directory=True)
    seen, plain = both(tmp_path, program)
    assert seen.stdout == plain.stdout == "0\n"


def test_the_optimizer_of_a_function_that_returned_is_in_the_end(tmp_path: Path) -> None:
    """It is gone when the model is saved: what it held was written when it went."""
    program = COUNT + "m, o = made()\ntrain(m, o)\ndel o\nm.save_weights('w.safetensors')\n"
    seen, _ = both(tmp_path, program)
    (row,) = seen.of("end", "optimizers")
    assert (row["class"], row["step"], row["state_tensors"]) == ("Adam", 2, 6)
    moments = [each for each in seen.of("end", "placements") if each.get("role") == "optimizer"]
    assert len(moments) == 6
    assert all(each["digest"] for each in moments)


def test_what_an_optimizer_left_is_read_by_mlx_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of Python's is let go of by a thread of mlx. Where the interpreter ended just then, the process
    was aborted: 8 of 84 times with four at once on one processor.
    """
    import mlx.core as mx

    from forensics.watch.capture import optimizers

    taken = []

    class Core:
        eval = staticmethod(mx.eval)

        @staticmethod
        def load(place: object, **how: object) -> object:
            taken.append(place)
            return mx.load(place, **how)

    monkeypatch.setattr(optimizers, "mx", lambda: Core)
    file = tmp_path / os.fsdecode(b"left-\xff.safetensors")
    with file.open("wb") as opened:
        mx.save_safetensors(opened, {"digest": mx.arange(3)})
    arrays: dict[str, Any] = {}
    told, rows = optimizers.state(
        "o0", optimizers.LastState({"class": "Adam"}, [{"name": "m"}], file), arrays
    )
    assert (told, rows) == ({"class": "Adam"}, [{"name": "m"}])
    assert arrays["digest"].tolist() == [0, 1, 2]
    assert [type(place) for place in taken] == [str]
