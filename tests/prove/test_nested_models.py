"""A model around another is one forward, so that a cure that asks for their number takes it for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import tiny, watched

PROGRAM = """
import sys
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
from mlx_lm import load

sign = float(sys.argv[1])

class Gated(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.gate = inner, mx.ones(1)

    def __call__(self, ids):
        return self.gate * self.inner(ids)

inner, tokenizer = load("model")
model = Gated(inner)
x = mx.array([tokenizer.encode("What color is the sky? The sky is blue.")])
step = nn.value_and_grad(
    model, lambda m: sign * nn.losses.cross_entropy(m(x[:, :-1]), x[:, 1:]).mean()
)
optimizer = optim.SGD(1e-2)
for i in range(2):
    _, grads = step(model)
    optimizer.update(model, grads)
    mx.eval(model.parameters(), optimizer.state)
print(f"{abs(step(model)[0].item()):.5f}")
"""


def said(place: Path, sign: str, *cures: str) -> str:
    directory = place / f"{sign}-{len(cures)}"
    directory.mkdir(parents=True)
    (directory / "model").symlink_to(tiny.cached(), target_is_directory=True)
    repeat = {"repeat": {"cures": list(cures), "facts": {}}}
    done = watched.run(directory, PROGRAM, sign, options={"tensors": "none", **repeat})
    assert done.status == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_a_turned_sign_of_a_model_around_another(tmp_path: Path) -> None:
    healthy = said(tmp_path, "1")
    assert said(tmp_path, "-1") != healthy, "there is a fault"
    assert said(tmp_path, "-1", "loss-sign-flipped") == healthy
