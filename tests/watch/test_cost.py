"""What watching a step does: a bounded number of evaluations, and none of what the program leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import watched

PROGRAM = """
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
mx.random.seed(0)
class Net(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.embed, self.head = nn.Embedding(16, 8), nn.Linear(8, 16)
        self.layers = [nn.Linear(8, 8) for _ in range(layers)]
    def __call__(self, x):
        x = self.embed(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)
x = mx.array([[1, 2, 3, 4]])
def loss(model):
    return nn.losses.cross_entropy(model(x[:, :-1]), x[:, 1:]).mean()
"""

COUNTED = (
    PROGRAM
    + """
import sys
model = Net(int(sys.argv[1]))
optimizer = optim.Adam(0.01)
gradient = nn.value_and_grad(model, loss)
state = [model.state, optimizer.state]
def step():
    value, gradients = gradient(model)
    optimizer.update(model, gradients)
    return value
if "compiled" in sys.argv:
    step = mx.compile(step, inputs=state, outputs=state)
for _ in range(11):  # the last that is kept is the eighth, and two updates wait
    mx.eval(step(), state)
counts = {"eval": 0, "read": 0, "python": 0}
def counting(owner, name, what):
    original = getattr(owner, name)
    def called(*args):
        caller = sys._getframe(1).f_code.co_filename
        counts[what] += "watch" in caller
        return original(*args)
    setattr(owner, name, called)
CALLS = [(mx, "eval", "eval"), (mx, "async_eval", "eval"), (mx.array, "item", "read"),
    (mx.array, "tolist", "read")]
for owner, name, what in CALLS:
    counting(owner, name, what)
def count(frame, what, arg):
    counts["python"] += what == "call" and "watch" in frame.f_code.co_filename
sys.setprofile(count)
for _ in range(4):
    mx.eval(step(), state)
sys.setprofile(None)
print(counts["eval"], counts["read"], counts["python"])
"""
)


def counted(directory: Path, layers: int, *more: str) -> tuple[int, int, int]:
    ran = watched.run(directory, COUNTED, str(layers), *more)
    assert ran.status == 0, ran.stderr
    assert len(ran.rows("steps")) == 15
    evaluations, reads, calls = map(int, ran.stdout.split())
    return evaluations, reads, calls


def test_a_step_that_is_not_kept_waits_for_nothing(tmp_path: Path) -> None:
    """Only numbers are read that the program has evaluated two updates before.

    There are as many, however many tensors are trained.
    """
    few, many = counted(tmp_path / "few", 2), counted(tmp_path / "many", 40)
    assert few[0] == many[0] == 0
    assert 0 < many[1] == few[1] < 4 * 30
    # our Python visits the containers of two trees, and no tensor by itself
    assert many[2] < 2 * few[2] + 4 * 200


@pytest.mark.long
def test_a_compiled_step_waits_for_nothing(tmp_path: Path) -> None:
    few, many = counted(tmp_path / "few", 2, "compiled"), counted(tmp_path / "many", 40, "compiled")
    assert few[0] == many[0] == 0
    assert 0 < many[1] == few[1] < 4 * 30
    assert many[2] == few[2]


def test_gradients_that_the_program_drops_stay_unevaluated(tmp_path: Path) -> None:
    """The backward pass counts itself where it is computed; the loss alone is asked for."""
    dropped = (
        PROGRAM
        + """
count = [0]
@mx.custom_function
def counting(x):
    return x
@counting.vjp
def back(primals, cotangent, _):
    count[0] += 1
    return cotangent
model = Net(1)
gradient = nn.value_and_grad(model, loss)
held = []
for i in range(80):
    value, gradients = gradient(model)
    print(value.item())
    held.append(gradients["layers"][0]["weight"])
    del gradients
class Page:
    def __init__(self): self.operation = False
    def write(self, text): self.operation = self.operation or "[label" in text; return len(text)
made = 0
for each in held:
    page = Page()
    mx.export_to_dot(page, each)
    made += not page.operation
print("computed", made)
"""
    )
    ran, plain = watched.run(tmp_path / "a", dropped), watched.run(tmp_path / "b", dropped, watch=False)
    assert ran.status == plain.status == 0, ran.stderr
    assert plain.stdout.endswith("computed 0\n")
    assert ran.stdout.splitlines()[:-1] == plain.stdout.splitlines()[:-1]
    kept = {row["forward"] for row in ran.rows("weights")}
    assert len(kept) == 32 + 1  # and the 64th, of those that the step's 32 gradients are followed by


def test_a_program_that_evaluates_now_and_then_loses_no_numbers(tmp_path: Path) -> None:
    seldom = (
        PROGRAM
        + """
model = Net(1)
optimizer = optim.Adam(0.01)
gradient = nn.value_and_grad(model, loss)
for i in range(40):
    value, gradients = gradient(model)
    optimizer.update(model, gradients)
    if i % 8 == 7:
        mx.eval(model.parameters(), value)
print(value.item())
"""
    )
    ran = watched.run(tmp_path, seldom)
    assert ran.status == 0, ran.stderr
    rows = ran.rows("steps")
    assert [row["step"] for row in rows] == list(range(1, 41))
    assert all(row["update_norm"] > 0 and row["gradient_norm"] > 0 and row["tokens"] == 3 for row in rows)
