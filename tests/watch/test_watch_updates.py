"""Updates of every kind.

Their numbers, the points around them, and what is said of the gradients that led to them.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.support import training, watched
from tests.support.watched import Ran


def of(run: Ran, model: str, table: str = "steps") -> list[dict[str, Any]]:
    return [row for row in run.rows(table) if row["model"] == model]


def parameters(run: Ran, point: str) -> dict[str, str]:
    return {name: digest for name, digest in run.digests(point).items() if not name.startswith("optimizer.")}


def last_models(run: Ran) -> dict[str, dict[str, Any]]:
    return {row["model"]: row for row in run.rows("models")}


def test_a_loop_by_hand_is_seen_whole() -> None:
    run = training.ran("loop")
    assert run.points() == ["loaded", "adapted", "start", "end"]
    steps = run.rows("steps")
    assert [row["step"] for row in steps] == list(range(1, 19))
    printed = [float(line) for line in run.stdout.splitlines()[:18]]
    assert [row["loss"] for row in steps] == pytest.approx(printed)
    assert {row["optimizer"] for row in steps} == {"o0"}
    assert all(
        row["gradients"] == row["forwards"] == 1 and row["accumulation"] is None and row["nonfinite"] == 0
        for row in steps
    )
    assert all(row["gradient_norm"] > 0 and row["update_norm"] > 0 and row["seconds"] > 0 for row in steps)
    assert last_models(run)["m0"] | {"updates": 18, "gradients": 18, "writes": 0} == last_models(run)["m0"]


def test_a_schedule_shows_in_the_rate_of_each_step() -> None:
    run = training.ran("loop")
    assert [row["learning_rate"] for row in run.rows("steps")] == pytest.approx(
        [1e-3 * (1 - i / 100) for i in range(18)], rel=1e-4
    )
    (schedule,) = run.rows("schedules")
    assert (schedule["kind"], schedule["steps"]) == ("linear_schedule", 100)
    assert schedule["arguments"] == {"init": 1e-3, "end": 0.0, "steps": 100}
    assert "program.py" in schedule["place"]


def test_parameters_are_given_one_by_one_at_kept_steps() -> None:
    run = training.ran("loop")
    gradients = run.rows("gradients")
    assert {row["step"] for row in gradients} == {*range(1, 9), 16}
    first = [row for row in gradients if row["step"] == 1]
    assert len(first) == 28
    step = run.rows("steps")[0]
    for column in ("gradient_norm", "update_norm", "parameter_norm"):
        assert math.hypot(*(row[column] for row in first)) == pytest.approx(step[column], rel=1e-4)
    fresh = {row["name"].rpartition(".")[2]: row["gradient_norm"] for row in first}
    assert fresh["lora_a"] == 0 and fresh["lora_b"] > 0  # lora_b is zero, so lora_a has no gradient yet


def test_norms_are_those_of_the_arrays() -> None:
    """The first AdamW step moves each element with a gradient by about 3.16 times the rate."""
    run = training.ran("loop")
    before, after = run.digests("start"), run.digests("end")
    moved = {name for name in before if before[name] != after.get(name)}
    assert moved == {row["name"] for row in run.rows("gradients")}


def test_gradients_and_updates_are_told_once() -> None:
    run = training.ran("loop")
    (grad,), (update,) = run.events("grad"), run.events("update")
    assert grad["detail"] == {
        "via": "nn.value_and_grad",
        "wrt": "trainable",
        "leaves": 28,
        "frozen_leaves": 0,
        "adapters": 14,
    }
    assert update["detail"] == {
        "optimizer": "AdamW",
        "leaves": 28,
        "frozen_leaves": 0,
        "compiled": False,
        "first": True,
    }
    assert "program.py" in grad["place"]


def test_mlx_lms_own_command_is_seen_whole() -> None:
    """Compiled step, dropout, checkpointing, accumulation over two batches."""
    run = training.ran("mlx-lm")
    assert run.points() == ["loaded", "adapted", "start", "end"]
    steps = run.rows("steps")
    assert [row["step"] for row in steps] == [1, 2, 3, 4, 5, 6]
    assert all(row["gradients"] == row["forwards"] == 2 for row in steps)
    assert [row["accumulation"] for row in steps] == pytest.approx([0.5] * 6)
    assert [row["weight_sum"] for row in steps] == pytest.approx([2.0] * 6, rel=1e-4)
    assert all(row["residual"] < 1e-4 for row in steps)
    assert {(row["step"], row["forward"]) for row in run.rows("forwards")} == {
        (s, f) for s in range(1, 7) for f in (0, 1)
    }
    (update,) = run.events("update")
    assert update["detail"]["compiled"] is True
    assert run.rows("saved_tensors")[0]["updates"] == 6
    start, end = parameters(run, "start"), parameters(run, "end")
    assert sum(start[name] != end[name] for name in start) == 28


def test_start_of_a_compiled_step_is_what_was_before_it() -> None:
    run = training.ran("compiled")
    loaded, start, end = (parameters(run, point) for point in ("adapted", "start", "end"))
    assert start == loaded
    (fresh,), (used,) = run.of("start", "optimizers"), run.of("end", "optimizers")
    assert (fresh["step"], fresh["state_l2"], used["step"]) == (0, 0.0, 5)
    assert used["state_l2"] > 0
    assert sum(start[name] != end[name] for name in start) == 28
    assert [row["loss"] for row in run.rows("steps")] == pytest.approx(
        [float(line) for line in run.stdout.splitlines()[:5]]
    )


@pytest.mark.long
def test_accumulated_gradients_that_are_averaged_or_summed() -> None:
    run = training.ran("accumulated")
    steps = run.rows("steps")
    assert [row["gradients"] for row in steps] == [3, 3, 3, 3]
    assert [row["accumulation"] for row in steps] == pytest.approx([1 / 3, 1 / 3, 1.0, 1.0], rel=1e-4)


@pytest.mark.parametrize("name", ["without-state", "outputs-only"])
def test_a_step_that_starts_again_each_time_is_counted_each_time(name: str) -> None:
    run = training.ran(name)
    steps = run.rows("steps")
    assert [row["step"] for row in steps] == [1, 2, 3, 4]
    assert len({(row["loss"], row["update_norm"]) for row in steps}) == 1
    assert run.points() == ["loaded", "adapted", "start", "end"]


def test_parameters_left_as_placeholders_are_told_one_by_one() -> None:
    rows = training.ran("without-state").of("end", "placements")
    broken = [row for row in rows if row.get("error")]
    assert len([row for row in broken if not row["name"].startswith("optimizer")]) == 28
    assert all(row["digest"] is None for row in broken)


@pytest.mark.long
def test_an_update_by_hand_is_a_step_without_an_optimizer() -> None:
    run = training.ran("by-hand")
    steps = run.rows("steps")
    assert [row["optimizer"] for row in steps] == [None] * 11
    assert [row["loss"] for row in steps] == pytest.approx(
        [float(line) for line in run.stdout.splitlines()[:11]]
    )
    assert last_models(run)["m0"] | {"updates": 0, "writes": 11} == last_models(run)["m0"]
    assert run.points() == ["loaded", "adapted", "start", "end"]
    (write,) = run.events("write")
    assert write["detail"]["after_gradient"] is True
    # a write ends its step when the next gradient is there: which steps are kept is asked of that one
    assert [row["step"] for row in run.rows("forwards")] == list(range(1, 9))
    assert [row["step"] for row in run.rows("weights")] == list(range(1, 12))


def test_applied_gradients_count_when_they_are_put_in_place() -> None:
    run = training.ran("applied")
    assert [row["optimizer"] for row in run.rows("steps")] == ["o0"] * 3
    assert last_models(run)["m0"] | {"updates": 3, "writes": 0} == last_models(run)["m0"]
    never = training.ran("never-applied")
    assert never.rows("steps") == []
    assert last_models(never)["m0"] | {"updates": 0, "gradients": 3} == last_models(never)["m0"]
    assert len(never.rows("forwards")) == 3
    assert "end" not in never.points()


@pytest.mark.long
def test_a_functional_program_around_a_module() -> None:
    run = training.ran("functional")
    assert [row["step"] for row in run.rows("steps")] == [1, 2, 3, 4]
    assert last_models(run)["m0"] | {"updates": 4, "writes": 0} == last_models(run)["m0"]
    assert run.events("grad")[0]["detail"]["wrt"] == "arrays"


def test_the_start_lies_before_arrays_that_a_functional_program_changes_in_place(tmp_path: Path) -> None:
    """They are the module's own arrays, and the first call that tells of it comes after some updates."""
    run = watched.run(
        tmp_path,
        """
        import mlx.core as mx
        import mlx.nn as nn
        from mlx.utils import tree_flatten, tree_unflatten
        nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)).save_weights("first.safetensors")
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        model.load_weights("first.safetensors")
        p = dict(tree_flatten(model.trainable_parameters()))
        x = mx.arange(12).reshape(3, 4) / 12
        def loss(p):
            model.update(tree_unflatten(list(p.items())))
            return (model(x) ** 2).mean()
        for i in range(6):
            value, g = mx.value_and_grad(loss)(p)
            for k in p:
                p[k] -= 0.1 * g[k]
            mx.eval(p)
            if i % 3 == 2:
                loss(p)
        """,
    )
    assert run.status == 0, run.stderr
    assert run.digests("start") == run.digests("loaded") != run.digests("end")


@pytest.mark.parametrize(
    ("write", "cast"),
    [
        ("model.set_dtype(mx.float16)", True),
        ("model.update(tree_map(lambda a: a.astype(mx.bfloat16), model.parameters()))", True),
        ("model.apply(lambda a: a.astype(mx.float16))", True),
        ("model.update(tree_map(lambda a: (0.5 * a).astype(mx.float16), model.parameters()))", False),
        ("model.update(tree_map(lambda a: 0.5 * a, model.parameters()))", False),
    ],
)
def test_a_cast_after_the_last_update_is_no_part_of_training(tmp_path: Path, write: str, cast: bool) -> None:
    run = watched.run(
        tmp_path,
        f"""
        import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
        from mlx.utils import tree_map
        model, optimizer = nn.Linear(4, 4), optim.SGD(0.1)
        function = nn.value_and_grad(model, lambda model, x: model(x).square().mean())
        for step in range(3):
            value, gradients = function(model, mx.ones((2, 4)))
            optimizer.update(model, gradients)
            mx.eval(model.state, value)
        mx.save_safetensors("trained.safetensors", dict(model.parameters()))
        {write}
        """,
    )
    assert run.status == 0, run.stderr
    assert [event["detail"]["cast"] for event in run.events("write")] == [cast]
    assert [row["point"] for row in run.rows("captures")] == ["loaded", "start", "end"] + ["end"] * (not cast)


@pytest.mark.parametrize("beside", ["x, 0.1", "other, 0.1"])
def test_one_array_alone_may_be_the_model_of_a_compiled_step(tmp_path: Path, beside: str) -> None:
    """Also where another argument has its shape."""
    run = watched.run(
        tmp_path,
        f"""
        import mlx.core as mx
        gradient = mx.value_and_grad(lambda w, x: ((x @ w) ** 2).mean())
        @mx.compile
        def step(x, rate, w):
            value, down = gradient(w, x)
            return value, w - rate * down
        w, x, other = mx.ones((4, 4)), mx.ones((2, 4)), mx.full((4, 4), 0.5)
        for i in range(3):
            value, w = step({beside}, w)
            mx.eval(value, w)
            print(value.item())
        """,
    )
    assert run.status == 0, run.stderr
    printed = [float(line) for line in run.stdout.splitlines()]
    assert [row["loss"] for row in of(run, "m0")] == pytest.approx(printed)
    assert [row["point"] for row in run.rows("captures")] == ["loaded", "start", "end"]
    assert set(run.digests("start").values()) != set(run.digests("end").values())


@pytest.mark.long
@pytest.mark.parametrize("name", ["tree", "tree-compiled"])
def test_a_program_without_modules_is_its_tree(name: str) -> None:
    run = training.ran(name)
    tree = run.events("grad")[0]["model"]
    steps = of(run, tree)
    assert [row["loss"] for row in steps] == pytest.approx(
        [float(line) for line in run.stdout.splitlines()[:5]]
    )
    assert last_models(run)[tree]["class"] is None
    points = [row["point"] for row in run.rows("captures") if row["model"] == tree]
    assert points == ["loaded", "start", "end"]
    captures = [row["number"] for row in run.rows("captures") if row["model"] == tree]
    assert not [row for number in captures for row in run.rows(f"c{number}/placements") if row.get("error")]
    start, end = (
        {row["name"]: row["digest"] for row in run.of(point, "placements") if not row.get("role")}
        for point in ("start", "end")
    )
    assert set(start) == {"w", "b"} and all(start[key] != end[key] for key in start)
    if name == "tree":  # what was saved is what the last capture holds, though no function ever saw it
        assert {row["name"]: row["digest"] for row in run.rows("saved_tensors")} == end


def test_a_preference_loss_is_a_forward_each_of_chosen_and_rejected() -> None:
    run = training.ran("preference")
    steps = of(run, "m0")
    assert [row["forwards"] for row in steps] == [2, 2, 2]
    assert [row["equal_forwards"] for row in steps] == [0, 0, 0]
    assert steps[0]["loss"] == pytest.approx(math.log(2), rel=1e-4)


@pytest.mark.long
def test_a_policy_that_is_its_own_reference_shows_equal_forwards() -> None:
    """Inside the gradient, and outside of it."""
    text = training.program("preference").replace(
        "reference = copy.deepcopy(model)\nreference.freeze()\n", "reference = model\n"
    )
    assert "reference = model\n" in text
    inside = text.replace("told(reference, chosen)", "mx.stop_gradient(told(reference, chosen))")
    inside = inside.replace("told(reference, rejected)", "mx.stop_gradient(told(reference, rejected))")
    outside = text.replace("def preference(model):", "def preference(model, one, two):").replace(
        "value_and_grad(model)", "value_and_grad(model, told(reference, chosen), told(reference, rejected))"
    )
    outside = outside.replace("- told(reference, chosen) +", "- one +").replace(
        "+ told(reference, rejected)\n", "+ two\n"
    )
    assert "of_model - one + two" in outside
    for number, program in enumerate((inside, outside)):
        run = training.run_text(f"itself-{number}", program)
        assert run.status == 0, run.stderr
        assert [row["equal_forwards"] for row in of(run, "m0")] == [2, 2, 2]


@pytest.mark.long
def test_a_model_within_another_is_trained_as_the_outer_one() -> None:
    run = training.ran("wrapped")
    outer = run.events("grad")[0]["model"]
    steps = of(run, outer)
    assert len(steps) == 3 and of(run, "m0") == []
    # the cooled logits, not those within
    assert all(row["forwards"] == 1 and row["residual"] < 1e-4 for row in steps)


@pytest.mark.long
def test_a_trainer_class_with_a_compiled_method() -> None:
    run = training.ran("class")
    assert [row["step"] for row in run.rows("steps")] == [1, 2, 3, 4]
    told = [pair[0] for pair in eval(run.stdout.splitlines()[0])]  # noqa: S307   the program's own list
    assert [row["loss"] for row in run.rows("steps")] == pytest.approx(told)


def test_a_head_applied_by_hand_is_seen_below_it() -> None:
    run = training.ran("awkward")
    assert [row["forwards"] for row in run.rows("steps")] == [1] * 4
    assert all(row["residual"] < 1e-3 for row in run.rows("steps"))
    errors = [row["detail"]["type"] for row in run.events("error")]
    assert "KeyError" in errors or "ValueError" in errors


def test_apply_gradients_on_a_module_counts_each_update_once(tmp_path: Path) -> None:
    """Another library's own loop calls apply_gradients itself.

    `model.update(optimizer.apply_gradients(gradients, model.trainable_parameters()))`
    """
    program = """
    import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
    model, optimizer = nn.Linear(4, 4), optim.Adam(1e-2)
    function = nn.value_and_grad(model, lambda model, x: model(x).square().mean())
    for step in range(5):
        value, gradients = function(model, mx.ones((2, 4)) * (step + 1))
        model.update(optimizer.apply_gradients(gradients, model.trainable_parameters()))
        mx.eval(model.state, optimizer.state, value)
    """
    ran = watched.run(tmp_path, program)
    rows = ran.rows("steps")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    assert all(row["loss"] and row["update_norm"] for row in rows)
    assert ran.rows("models")[-1]["updates"] == 5 and not ran.events("write")
    assert ran.rows("models")[-1]["unwritten"] == 0


def test_master_weights_of_a_wider_type_count_each_update_once(tmp_path: Path) -> None:
    program = """
    import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
    from mlx.utils import tree_map
    model, optimizer = nn.Linear(4, 4), optim.AdamW(1e-2)
    masters = model.parameters()
    model.set_dtype(mx.bfloat16)
    function = nn.value_and_grad(model, lambda model, x: model(x).square().mean())
    for step in range(5):
        value, gradients = function(model, mx.ones((2, 4)) * (step + 1))
        masters = optimizer.apply_gradients(tree_map(lambda g: g.astype(mx.float32), gradients), masters)
        model.update(tree_map(lambda p: p.astype(mx.bfloat16), masters))
        mx.eval(masters, model.parameters(), optimizer.state)
    """
    ran = watched.run(tmp_path, program)
    assert [(row["step"], row["optimizer"]) for row in ran.rows("steps")] == [(n, "o0") for n in range(1, 6)]
    assert (ran.rows("models")[-1]["updates"], ran.rows("models")[-1]["unwritten"]) == (5, 0)


def test_what_becomes_of_several_gradients_and_of_results_that_nobody_takes(tmp_path: Path) -> None:
    """Two updates take the mean of two gradients, two half of the last alone; one is never put in."""
    program = """
    import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim
    from mlx.utils import tree_map
    model, optimizer = nn.Linear(4, 4), optim.Adam(1e-2)
    function = nn.value_and_grad(model, lambda model, x: model(x).square().mean())
    for step in range(5):
        one = function(model, mx.random.normal((2, 4)))[1]
        two = function(model, mx.random.normal((2, 4)))[1]
        given = two if step in (2, 3) else tree_map(lambda a, b: a + b, one, two)
        given = tree_map(lambda a: a / 2, given)
        if step < 4:
            optimizer.update(model, given)
            mx.eval(model.state, optimizer.state)
        else:
            mx.eval(optimizer.apply_gradients(given, model.trainable_parameters()))
    try:
        optim.clip_grad_norm(given)
    except TypeError:
        print("no clipping")
    """
    ran = watched.run(tmp_path, program)
    steps = ran.rows("steps")
    assert [row["of_last"] for row in steps] == pytest.approx([0.5] * 4, rel=1e-3)
    assert [row["of_earlier"] for row in steps] == pytest.approx([0.5, 0.5, 0, 0], abs=1e-3)
    assert ran.rows("models")[-1]["unwritten"] == 1
    assert [row["detail"]["call"] for row in ran.events("error")] == ["clip_grad_norm"]
