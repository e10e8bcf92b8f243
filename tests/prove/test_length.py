"""How many updates a repeat of a long run makes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from forensics.prove.length import enough
from tests.support import command, watched
from tests.support.command import forensics

MANY = command.LOOP.replace("range(3)", "range(40)").replace("optim.SGD(0.1)", "optim.SGD(0.0)")
COUNTED = MANY.replace("lambda m: nn", "lambda m: print('forward') or nn")
COMPILED = """
    import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
    from functools import partial

    model, optimizer = nn.Embedding(16, 16), optim.Adam(0.01)
    x = mx.array([[1, 2, 3, 4, 5]])
    grad = nn.value_and_grad(model, lambda m: nn.losses.cross_entropy(m(x[:, :-1]), x[:, 1:]).mean())
    state = [model.state, optimizer.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def step():
        loss, gradients = grad(model)
        optimizer.update(model, gradients)
        return loss

    for i in range(30):
        loss = step()
        mx.eval(state, loss)
    print(optimizer.step.item())
    mx.save_safetensors("out.safetensors", dict(model.parameters()))
"""


def test_nine_tenths_of_the_way() -> None:
    falling = [10 * 0.9**n for n in range(200)]
    found = enough(falling)
    assert found is not None and 20 < found < 40, "0.9 ** 22 is a tenth, and medians come later"
    assert enough([-each for each in falling]) == found, "a loss that rises has a way as well"
    assert enough(falling[:10]) is None, "too short"
    assert enough([1.0] * 100) is None, "it ends where it began"
    assert enough([math.nan] * 100) is None
    assert enough([float(n) for n in range(100)]) in range(88, 96)


@pytest.mark.long
def test_a_repeat_ends_where_it_was_told(tmp_path: Path) -> None:
    command.write(tmp_path, MANY)
    assert forensics(tmp_path, "capture", "--name", "run", "--", "python", "train.py").store.holds("run")
    words = ("prove", "run", "parameters-unchanged", "learning-rate-zero", "--repeats", "1", "--json")
    document = json.loads(forensics(tmp_path, *words, "--steps", "5").out)
    assert document["steps"] == 5 and document["repeatable"]
    assert "5 steps" in document["agreement"] and "of 40 steps" in document["agreement"]
    assert json.loads(forensics(tmp_path, *words).out)["steps"] == 40
    repeats = [json.loads(path.read_text()) for path in (tmp_path / ".forensics/proofs/run").iterdir()]
    assert sorted({len(each["losses"]) for each in repeats}) == [5, 40]


@pytest.mark.long
def test_nothing_is_computed_afterwards(tmp_path: Path) -> None:
    """The program prints each forward; `output` are its last lines."""
    command.write(tmp_path, COUNTED)
    assert forensics(tmp_path, "capture", "--name", "run", "--", "python", "train.py").store.holds("run")
    forensics(tmp_path, "prove", "run", "learning-rate-zero", "--repeats", "1", "--steps", "5")
    for path in (tmp_path / ".forensics/proofs/run").iterdir():
        said = json.loads(path.read_text())["output"]
        assert len(said) == 5 and "forward" not in said and said[-1].startswith("39 "), said


@pytest.mark.parametrize(("steps", "updates"), [(7, 7), (None, 30)])
def test_a_compiled_step(tmp_path: Path, steps: int | None, updates: int) -> None:
    options = {"repeat": {"cures": [], "facts": {}, "steps": steps}}
    ran = watched.run(tmp_path, COMPILED, options=options)
    assert ran.stdout.strip() == str(updates), ran.stderr
    assert len(ran.rows("steps")) == updates
