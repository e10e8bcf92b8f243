"""Compiled functions.

What each is for, what it reads and writes, and whether it still says what its model says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import training, watched
from tests.support.watched import Ran


def functions(run: Ran) -> list[dict[str, Any]]:
    last = {row["function"]: row for row in run.rows("compiled")}
    return [last[number] for number in sorted(last)]


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("compiled", True, True),
        ("without-state", False, False),
        ("outputs-only", False, True),
        ("class", True, True),
        ("tree-compiled", True, True),
    ],
)
def test_whether_the_state_of_a_step_is_declared(name: str, inputs: bool, outputs: bool) -> None:
    (step,) = functions(training.ran(name))
    assert step["purpose"] == "step"
    assert (step["state_in_inputs"], step["state_in_outputs"]) == (inputs, outputs)
    assert step["calls"] == len(training.ran(name).rows("steps"))


def test_mlx_lms_step_and_its_random_state() -> None:
    (step,) = functions(training.ran("mlx-lm"))
    told = {"purpose": "step", "model": "m0", "calls": 12, "state_in_inputs": True, "state_in_outputs": True,
            "random_used": True, "random_captured": True, "training_at_trace": True}  # fmt: skip
    assert step | told == step
    assert 2 <= step["traces"] < 12


@pytest.mark.long
def test_random_numbers_that_a_step_draws_without_declaring_it() -> None:
    text = training.program("compiled").replace(
        "state = [model.state, optimizer.state, mx.random.state]", "state = [model.state, optimizer.state]"
    )
    run = training.run_text("frozen-draws", text)
    assert run.status == 0, run.stderr
    (step,) = functions(run)
    assert (step["random_used"], step["random_captured"]) == (True, False)


def test_a_compiled_forward_is_held_against_its_model() -> None:
    run = training.ran("forward")
    stale, fresh, sampler = functions(run)
    assert stale["purpose"] == fresh["purpose"] == "forward"
    assert (stale["model"], stale["state_in_inputs"], fresh["state_in_inputs"]) == ("m0", False, True)
    assert stale["repeat_difference"] == fresh["repeat_difference"] == 0.0
    assert stale["live_difference"] > 0.1 * stale["live_scale"]
    assert fresh["live_difference"] < 1e-4 * fresh["live_scale"]
    assert (stale["updates_behind"], fresh["updates_behind"]) == (3, None)  # what it reads are inputs, or not
    assert (sampler["purpose"], sampler["random_used"], sampler["random_captured"]) == (
        "sampler",
        True,
        False,
    )


def test_each_compiled_function_is_told_when_it_is_made() -> None:
    run = training.ran("forward")
    assert [row["detail"]["function"] for row in run.events("compile")] == [0, 1, 2]
    assert all("program.py" in row["place"] for row in functions(run))


def test_a_function_without_shapes_works_and_is_only_counted() -> None:
    run = training.run_text("shapeless", """
        import mlx.core as mx
        double = mx.compile(lambda x: x * 2 + 1, shapeless=True)
        print(double(mx.ones(3)).tolist(), double(mx.ones(2)).tolist())
    """)  # fmt: skip
    assert run.stdout == "[3.0, 3.0, 3.0] [3.0, 3.0]\n"
    (function,) = functions(run)
    assert (function["purpose"], function["calls"], function["traces"]) == ("other", 2, 1)


def test_a_gradient_of_a_compiled_loss_is_tapped() -> None:
    text = training.program("loop").replace(
        "nn.value_and_grad(model, loss)", "nn.value_and_grad(model, lambda model, batch: of(batch))"
    )
    text = text.replace(
        "model.train()\n",
        "of = mx.compile(lambda batch: loss(model, batch), inputs=[model.state, mx.random.state],"
        " outputs=[mx.random.state])\n",
    )
    run = training.run_text("inlined", text)
    assert run.status == 0, run.stderr
    steps = run.rows("steps")
    assert len(steps) == 18 and all(row["forwards"] == 1 and row["residual"] < 1e-4 for row in steps)
    plain = training.run_text("inlined", text, watch=False)
    assert run.stdout == plain.stdout


@pytest.mark.parametrize(
    ("inputs", "behind", "within"),
    [
        ("None", 3, False),
        pytest.param("None", 3, True, marks=pytest.mark.long),
        pytest.param("model.state", None, True, marks=pytest.mark.long),
    ],
)
def test_a_forward_that_was_traced_before_its_model_was_trained(
    tmp_path: Path, inputs: str, behind: int | None, within: bool
) -> None:
    program = f"""
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
def main(model):
    predict = mx.compile(lambda x: mx.argmax(model(x), -1), inputs={inputs})
    predict(mx.ones((2, 4)))
    function, optimizer = nn.value_and_grad(model, lambda model, x: model(x).square().mean()), optim.SGD(0.1)
    for step in range(3):
        value, gradients = function(model, mx.ones((2, 4)))
        optimizer.update(model, gradients)
        mx.eval(model.state, value)
    predict(mx.ones((2, 4)))
"""
    calls = "main(nn.Linear(4, 4))"
    if not within:  # the model is a name of the module
        program = program.replace("def main(model):", "model = nn.Linear(4, 4)\ndef main(_):")
        calls = "main(None)"
    ran = watched.run(tmp_path, program + calls)
    assert ran.rows("compiled")[-1]["updates_behind"] == behind
    assert ran.rows("missing") == []
