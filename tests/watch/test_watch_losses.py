"""What the loss teaches at each position, read off the backward pass of losses that people write."""

from __future__ import annotations

import functools
import math
import random
from typing import Any

import mlx.core as mx
import pytest

from forensics.watch.training import divergences, handed
from tests.support import training

SEVERAL = """
def fresh():
    copy_ = type(model)(model.args)
    copy_.update(tree_map(lambda p: p + 0, model.parameters()))
    return copy_

ce = nn.losses.cross_entropy
real = (batch[:, 1:] != 0).astype(mx.float32)
share = mx.arange(1, width).astype(mx.float32)[None] * mx.ones((4, 1))
share = share / share.sum()

class Paired(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def __call__(self, ids, cache=None):
        return self.inner(ids), cache

class Named(Paired):
    def __call__(self, batch):
        return {"logits": self.inner(batch["ids"]), "n": 1}

class Inside(Paired):
    def __call__(self, batch):
        return ce(self.inner(batch[:, :-1]), batch[:, 1:]).mean()

class Rows(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(6, 5)

    def __call__(self, x):
        return self.one(x)

x, y = mx.random.normal((7, 6)), mx.random.randint(0, 5, (7,))
teacher = mx.softmax(mx.random.normal((4, width - 1, model.args.vocab_size)) * 3, axis=-1)
embedded = lambda m: m.model.embed_tokens(batch[:, :-1])
focal = lambda loss: ((1 - mx.exp(-loss)) ** 2 * loss).mean()
LOSSES = {
    "naive": lambda m: ce(m(batch)[:, :-1], batch[:, 1:]).mean(),
    "masked": lambda m: (ce(m(batch[:, :-1]), batch[:, 1:]) * real).sum() / real.sum(),
    "shares": lambda m: (ce(m(batch[:, :-1]), batch[:, 1:]) * share).sum(),
    "unshifted": lambda m: ce(m(batch), batch).mean(),
    "twice": lambda m: ce(m(batch[:, :-1])[:, :-1], batch[:, 2:]).mean(),
    "flipped": lambda m: -ce(m(batch[:, :-1]), batch[:, 1:]).mean(),
    "nothing": lambda m: (ce(m(batch[:, :-1]), batch[:, 1:]) * 0).sum(),
    "ignored": lambda m: ce(m(batch[:, :-1]), mx.where(real > 0, batch[:, 1:], -100)).mean(),
    "distilled": lambda m: -(teacher * nn.log_softmax(m(batch[:, :-1]), axis=-1)).sum(-1).mean(),
    "cooled": lambda m: ce(m(batch[:, :-1]) * 8, batch[:, 1:]).mean(),
    "smoothed": lambda m: ce(m(batch[:, :-1]), batch[:, 1:], label_smoothing=0.1).mean(),
    "constant": lambda m: ce(m(batch[:, :-1]), batch[:, 1:]).mean() + mx.stop_gradient(m(batch)).std(),
    "focal": lambda m: focal(ce(m(batch[:, :-1]), batch[:, 1:])),
    "keyword": lambda m: ce(m(inputs=batch[:, :-1]), batch[:, 1:]).mean(),
    "embedded": lambda m: ce(m(batch[:, :-1], input_embeddings=embedded(m)), batch[:, 1:]).mean(),
    "one-row": lambda m: ce(m(batch[:1, :-1])[0], batch[0, 1:]).mean(),
    "paired": lambda m: ce(m(batch[:, :-1])[0], batch[:, 1:]).mean(),
    "named": lambda m: ce(m({"ids": batch[:, :-1]})["logits"], batch[:, 1:]).mean(),
    "inside": lambda m: m(batch), "rows": lambda m: ce(m(x), y).mean(),
    "two": lambda m: ce(m(batch[:2, :-1]), batch[:2, 1:]).sum() - ce(m(batch[2:, :-1]), batch[2:, 1:]).sum(),
    "half": lambda m: ce(m(batch[:, :-1]).astype(mx.float32), batch[:, 1:]).mean(),
    "rough": lambda m: ce(m(batch[:, :-1]), batch[:, 1:]).mean(),
    "detached": lambda m: ce(mx.stop_gradient(m(batch[:, :-1])), batch[:, 1:]).mean()
        + m.lm_head.weight.sum(),
    "head-by-hand": lambda m: ce(m.lm_head(m.model(batch[:, :-1])), batch[:, 1:]).mean(),
}
MADE = {
    "paired": lambda: Paired(fresh()), "named": lambda: Named(fresh()), "inside": lambda: Inside(fresh()),
    "rows": Rows,
}
for name, of in LOSSES.items():
    trained = MADE.get(name, fresh)()
    if name in ("half", "rough"):
        trained.set_dtype(mx.bfloat16)
    value_and_grad, optimizer = nn.value_and_grad(trained, of), optim.SGD(0.0)
    for i in range(9 if name in ("masked", "rough", "shares") else 1):
        value, gradients = value_and_grad(trained)
        optimizer.update(trained, gradients)
        mx.eval(trained.parameters())
    print("LOSS", name)
"""


@functools.cache
def several() -> tuple[Any, list[str]]:
    run = training.run_text("several", training.HEAD + SEVERAL)
    assert run.status == 0, run.stderr
    assert run.rows("missing") == []
    return run, [line.split()[1] for line in run.stdout.splitlines() if line.startswith("LOSS")]


def model(name: str) -> str:
    """Models are numbered as they come: m0 is the one that was loaded.

    A wrapper's inner model is not met before it.
    """
    run, names = several()
    grads = [row["model"] for row in run.events("grad")]
    return grads[names.index(name)]


def forwards(name: str, step: int = 1) -> list[dict[str, Any]]:
    return [
        row for row in several()[0].rows("forwards") if row["model"] == model(name) and row["step"] == step
    ]


def steps(name: str) -> list[dict[str, Any]]:
    return [row for row in several()[0].rows("steps") if row["model"] == model(name)]


def flat(rows: list[list[Any]]) -> list[Any]:
    return [value for row in rows for value in row]


def targets(row: dict[str, Any], by: int) -> list[tuple[Any, Any]]:
    """(target, the id `by` places after the position), where the position has weight.

    Positions whose row does not go so far are left out.
    """
    return [
        (target, ids[i + by])
        for ids, line, weights in zip(row["inputs"], row["targets"], row["weights"], strict=True)
        for i, (target, weight) in enumerate(zip(line, weights, strict=True))
        if weight and i + by < len(ids)
    ]


@pytest.mark.parametrize(
    "name",
    [
        "naive",
        "masked",
        pytest.param("shares", marks=pytest.mark.long),
        "head-by-hand",
        "keyword",
        "embedded",
        "paired",
        "named",
        "inside",
        "focal",
        "one-row",
        "half",
        "rough",
    ],
)
def test_targets_are_the_next_token(name: str) -> None:
    (row,) = forwards(name)[:1]
    pairs = targets(row, 1)
    assert len(pairs) > 20
    assert all(a == b for a, b in pairs)


@pytest.mark.parametrize(("name", "by"), [("unshifted", 0), ("twice", 2), ("flipped", 1)])
def test_targets_of_shifted_labels(name: str, by: int) -> None:
    (row,) = forwards(name)
    assert all(a == b for a, b in targets(row, by))


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("naive", 1),
        ("masked", 1),
        ("shares", 1),
        ("unshifted", 1),
        ("flipped", -1),
        ("one-row", 1),
        ("rows", 1),
    ],
)
def test_weights_sum_to_that_of_the_loss(name: str, total: float) -> None:
    (row,) = forwards(name)
    assert sum(flat(row["weights"])) == pytest.approx(total, rel=1e-4)
    assert steps(name)[0]["weight_sum"] == pytest.approx(total, rel=1e-4)
    assert steps(name)[0]["residual"] < 1e-4


@pytest.mark.parametrize("name", ["naive", "masked", "shares", "smoothed", "flipped", "rows", "two", "half"])
def test_the_loss_that_is_taught_is_the_value_of_a_cross_entropy(name: str) -> None:
    row = steps(name)[0]
    assert row["loss_taught"] == pytest.approx(row["loss"], rel=0.02 if name == "half" else 1e-3)


def test_the_loss_that_is_taught_lacks_what_has_no_gradient() -> None:
    (plain,), (row,) = steps("naive"), steps("constant")
    assert row["loss_taught"] == pytest.approx(plain["loss_taught"], rel=1e-3)
    assert row["loss"] > 1.05 * row["loss_taught"]


def test_numbers_that_a_loss_is_handed() -> None:
    """Neither what it is differentiated by, nor whole numbers, nor what is no number."""
    parameters = [mx.array([1.0])]
    given = [parameters, mx.array(2.5), 7, mx.array([1, 2]), mx.array([1.0, 2.0]), {"by": mx.array([0.5])}]
    found = handed.numbers(given, {"scale": 4.0}, [parameters])
    assert handed.means([found, [3.5, 0.5, 6.0]]) == [3.0, 0.5, 5.0]
    assert handed.means([found, [3.5]]) is None


def test_divergences_of_logits_and_of_probabilities() -> None:
    z, other = (mx.random.normal((2, 3, 11), key=mx.random.key(seed)) for seed in (1, 2))
    weight = mx.array([[0.0, 0.5, 0.25], [0.25, 0.0, 1.0]])
    a, b = (each - mx.logsumexp(each, -1, keepdims=True) for each in (other, z))
    ways = [(weight * (mx.exp(p) * (p - q)).sum(-1)).sum().item() for p, q in ((a, b), (b, a))]
    found = divergences.weighted(z, weight, [other, z[:1], mx.softmax(other, axis=-1)])
    assert found.tolist() == pytest.approx([*ways, *ways], rel=1e-4)
    assert divergences.weighted(z, weight, [z[:1]]) is None
    assert len(divergences.others((other, weight), {"by": z})) == 2


def test_each_position_has_its_own_weight() -> None:
    (row,) = forwards("shares")
    n = len(row["inputs"][0])
    whole = sum(range(1, n + 1)) * 4
    assert row["weights"][2] == pytest.approx([i / whole for i in range(1, n + 1)], rel=1e-3)


def test_a_position_without_weight_is_a_zero_and_has_no_target() -> None:
    (row,) = forwards("nothing")
    assert set(flat(row["weights"])) == {0.0}
    assert set(flat(row["targets"])) == {None}
    assert len(row["weights"]) == 4
    assert steps("nothing")[0] | {"tokens": 0, "weight_sum": 0.0, "forwards": 1} == steps("nothing")[0]
    (masked,) = forwards("masked")
    assert [t is None for t in masked["targets"][0]] == [w == 0 for w in masked["weights"][0]]
    assert masked["weights"][0][-1] == 0  # padding


def test_an_ignore_index_that_mlx_does_not_know_is_a_token_near_the_end_of_the_vocabulary() -> None:
    (row,) = forwards("ignored")
    assert row["targets"][0][-1] not in (None, 0)
    assert row["weights"][0][-1] > 0


@pytest.mark.parametrize("name", ["distilled", "cooled"])
def test_other_losses_leave_a_residual(name: str) -> None:
    assert steps(name)[0]["residual"] > 0.05


def test_chosen_and_rejected_are_a_forward_each() -> None:
    first, second = forwards("two")
    assert [first["forward"], second["forward"]] == [0, 1]
    signs = {math.copysign(1, sum(flat(row["weights"]))): row["inputs"] for row in (first, second)}
    assert signs[1.0] != signs[-1.0]
    assert steps("two")[0]["forwards"] == 2


def test_outputs_without_token_ids_have_no_inputs() -> None:
    (row,) = forwards("rows")
    assert row["inputs"] is None
    assert len(row["weights"]) == 7


def test_what_the_backward_pass_does_not_reach_is_no_forward() -> None:
    assert forwards("detached") == []
    assert steps("detached")[0]["forwards"] == 0


@pytest.mark.parametrize(("name", "near"), [("masked", 1e-4), ("shares", 1e-4), ("rough", 0.05)])
def test_steps_that_are_not_kept_say_the_same_in_brief(name: str, near: float) -> None:
    """Of nine equal steps the first eight are kept."""
    run, of = several()[0], model(name)
    assert {row["step"] for row in run.rows("forwards") if row["model"] == of} == set(range(1, 9))
    brief = {row["step"]: row for row in run.rows("weights") if row["model"] == of}
    assert set(brief) == set(range(1, 10))
    assert brief[9]["rows"] == brief[8]["rows"]
    for kept, not_kept in zip(brief[8]["runs"], brief[9]["runs"], strict=True):
        assert sum(run[2] for run in kept) == pytest.approx(sum(run[2] for run in not_kept), rel=near)
        assert sum(run[1] for run in kept) == sum(run[1] for run in not_kept)
    assert flat(brief[8]["mass"]) == pytest.approx(flat(brief[9]["mass"]), rel=near, abs=1e-3)
    assert brief[8]["last"] == brief[9]["last"]


def test_each_distinct_row_is_written_once() -> None:
    run = several()[0]
    rows = {row["row"]: row["ids"] for row in run.rows("rows")}
    assert len({tuple(ids) for ids in rows.values()}) == len(rows)
    for forward in run.rows("forwards"):
        brief = next(
            row
            for row in run.rows("weights")
            if all(row[key] == forward[key] for key in ("model", "step", "forward"))
        )
        assert forward["inputs"] is None or [rows[n] for n in brief["rows"]] == forward["inputs"]


def test_mass_is_split_at_the_ends_of_a_row() -> None:
    """Of a row `a b c p p p` the tail begins at 3: what position 2 teaches is its first token."""
    from forensics.watch.training.rows import _segments

    assert _segments([1, 2, 3, 0, 0, 0], [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]) == [0.0, 3.0, 4.0, 56.0]
    assert _segments([0, 0, 0, 1, 2, 3], [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]) == [3.0, 12.0, 16.0, 32.0]
    assert _segments([0, 0, 0], [1.0, 2.0, 4.0]) == [0.0, 0.0, 0.0, 7.0]


def test_equal_forwards_are_equal_to_one_under_the_gradient() -> None:
    """Not to each other, as samples of one prompt between two steps are."""
    import mlx.core as mx

    from forensics.watch.training.event import Event
    from forensics.watch.training.rows import _equal

    def equal(before: list[int], under: list[int]) -> tuple[int, int]:
        before_, prints = (
            [{"ids": mx.array([[7, 8]]), "mark": mx.array(mark)} for mark in marks]
            for marks in (before, under)
        )
        return _equal(Event("gradient", None, {}, {"before": before_, "prints": prints}, None))

    assert equal([5, 5, 5], [1, 2]) == (0, 0)
    assert equal([5, 5, 1], [1, 2]) == (1, 1)
    assert equal([1], [1, 1]) == (2, 1)


def test_what_came_back_to_the_forwards_of_a_dropped_gradient_is_not_known() -> None:
    """The program computed its loss alone: that nothing was read of the rest is no silence."""
    import mlx.core as mx

    from forensics.watch.training.event import Event
    from forensics.watch.training.steps import _only_computed

    rows = mx.array([[1, 2, 3]])
    arrays = {"taps": [{"ids": rows, "brief": {"weight": mx.ones(3) + 1}}], "prints": [{"ids": rows}]}
    event = Event("gradient", None, {}, {"before": [], "small": {}, "value": mx.array(1.0)} | arrays)
    mx.eval(rows, event.arrays["value"])
    _only_computed(event)
    assert event.arrays["taps"] == [] and event.arrays["prints"] and event.unread


@pytest.mark.parametrize("how", ["whole", "brief", "every fourth whole"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("sharp", [1.0, 6.0])
def test_target_and_weight_of_random_positions(
    how: str, dtype: str, sharp: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients as mlx gives them, for random logits, targets and weights of both signs."""
    import mlx.core as mx
    import mlx.nn as nn

    from forensics.watch.training import largelogits, logits

    draw = random.Random(7)
    n, vocabulary = 40, 300
    z = mx.array([[draw.gauss(0, sharp) for _ in range(vocabulary)] for _ in range(n)]).astype(
        getattr(mx, dtype)
    )
    y = mx.array([draw.randrange(vocabulary) for _ in range(n)])
    w = mx.array([draw.choice([1.0, 0.25, -0.5, 0.0]) for _ in range(n)])
    g = mx.grad(lambda z: (nn.losses.cross_entropy(z, y) * w).sum())(z)
    if how == "every fourth whole":
        monkeypatch.setattr(logits, "_WHOLE", 3000)
        monkeypatch.setattr(largelogits, "_HELD", 3000)
        seen = largelogits.read(z[None], True)
        assert seen is not None
        found = largelogits.full(seen, g[None])
    else:
        found = logits.reduce(z[None], g[None], brief=how == "brief")
    near = 1e-3 if dtype == "float32" else 0.15
    for i in range(n):
        assert found["weight"][0, i].item() == pytest.approx(w[i].item(), rel=near)
        if w[i].item():
            assert found["target"][0, i].item() == y[i].item()
            assert found["mass"][0, i].item() == pytest.approx(
                mx.abs(g[i].astype(mx.float32)).sum().item(), rel=near
            )
    assert sorted(found["residual"][0].tolist())[n // 2] < 0.05


def test_a_learned_token_keeps_its_weight_in_sixteen_bits() -> None:
    """Where p is 0.999 the target's own entry is lost to rounding; the others tell its weight."""
    import mlx.core as mx
    import mlx.nn as nn

    from forensics.watch.training.logits import reduce

    z = mx.random.normal((1, 1, 200), key=mx.random.key(1))
    z = mx.where(mx.arange(200) == 17, 14.0, z).astype(mx.bfloat16)
    g = mx.grad(lambda z: nn.losses.cross_entropy(z, mx.array([[17]])).sum())(z)
    found = reduce(z, g)
    assert found["target"].item() == 17
    assert found["weight"].item() == pytest.approx(1.0, rel=0.15)


@pytest.mark.parametrize("sharp", [1.0, 5.0])
@pytest.mark.parametrize("smoothing", [0.02, 0.1, 0.3])
def test_label_smoothing_hides_neither_target_nor_weight(sharp: float, smoothing: float) -> None:
    """Some positions are no evidence all the same.

    There the model is as sure of the target as smoothing asks, or all else is rounded away.
    """
    import mlx.core as mx
    import mlx.nn as nn

    from forensics.watch.training.logits import reduce

    z, y = mx.random.normal((40, 200), key=mx.random.key(4)) * sharp, mx.arange(40)
    z[0, 0] = 4.0 * sharp + 8.0
    w = mx.array([1.0, 0.25, -0.5, 0.0] * 10)
    g = mx.grad(lambda z: (nn.losses.cross_entropy(z, y, label_smoothing=smoothing) * w).sum())(z)
    found = reduce(z[None], g[None])
    read = [i for i in range(40) if found["residual"][0, i].item() < 0.05]
    assert len(read) >= 36
    for i in read:
        assert found["weight"][0, i].item() == pytest.approx(w[i].item(), rel=0.05)
        assert w[i].item() == 0 or found["target"][0, i].item() == i


def test_soft_targets_leave_a_residual() -> None:
    import mlx.core as mx
    import mlx.nn as nn

    from forensics.watch.training.logits import reduce

    z, teacher = (mx.random.normal((1, 9, 200), key=mx.random.key(each)) * 5 for each in (4, 5))
    g = mx.grad(lambda z: nn.losses.cross_entropy(z, mx.softmax(teacher, -1)).mean())(z)
    assert all(mx.median(reduce(z, g, brief=brief)["residual"]).item() > 0.05 for brief in (False, True))


def test_blocks_of_positions_are_put_together() -> None:
    import mlx.core as mx

    from forensics.watch.training import logits

    z, g = (
        mx.random.normal((3, 5, 40), key=mx.random.key(2)),
        mx.random.normal((3, 5, 40), key=mx.random.key(3)),
    )
    whole = logits.reduce(z, g)
    block, logits._BLOCK = logits._BLOCK, 80
    try:
        parts = logits.reduce(z, g)
    finally:
        logits._BLOCK = block
    for name in whole:
        assert mx.array_equal(whole[name], parts[name]).item(), name


def test_a_constant_in_a_compiled_function_is_no_scalar() -> None:
    """Of equal scalars mlx makes one, and before 0.32.4 lost the program's own where that is an output."""
    core = pytest.importorskip("mlx.core")
    from forensics.watch.training import logits

    made = []
    given = core.array(3.0), core.array([1.0, 5.0])

    def function(*arrays: Any) -> Any:
        logits.steps.local.traces = [None]
        try:
            return [logits.alone(lambda a, b: made.append(b.shape) or a + b, each, 0.5) for each in arrays]
        finally:
            logits.steps.local.traces = []

    assert [each.tolist() for each in core.compile(function)(*given)] == [3.5, [1.5, 5.5]]
    constants = logits._constant(0.5, 0), logits._constant(0.5, 2)
    assert made == [(), (2,)] and [each.shape for each in constants] == [(), (1,)]
