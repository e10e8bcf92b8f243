"""Detectors of adapters, trainable sets, updates and numbers on hand-made rows.

They show where one fault ends and the next begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.evidence import Made, ask, capture, delta, event, evidence, parameter, row, run, step

A, B = "r@loaded", "r@end"


def faulty(session: Any, name: str) -> list[dict[str, Any]]:
    return [each for each in ask(session, name, A, B) if each["fault"]]


def clean(session: Any, name: str) -> bool:
    """Something was looked at, and nothing is at fault."""
    rows = ask(session, name, A, B)
    return bool(rows) and not any(each["fault"] for each in rows)


def trained(
    *moved: str,
    updates: int = 8,
    frozen: Sequence[str] = ("w",),
    points: Sequence[str] = ("loaded", "start", "end"),
) -> list[Any]:
    """A run with base weight `w` and the adapter of `q`; what `moved` names has another digest at the end."""
    made: list[Any] = [
        run(updates=updates),
        [capture(p, updates=updates if p == "end" else 0) for p in points],
    ]
    for point in points:
        for name, role in (("w", "base"), ("q.lora_a", "lora_a"), ("q.lora_b", "lora_b")):
            digest = f"{name}-{point == 'end' and name in moved}"
            zeros = 16 if role == "lora_b" and digest.endswith("False") else 0
            made.append(
                parameter(
                    point,
                    name,
                    digest,
                    role=role,
                    trainable=name not in frozen,
                    zeros=zeros,
                    module="q" if "q" in name else "",
                )
            )
        made.append(
            row(
                "modules",
                capture=f"r@{point}",
                module="q",
                canonical="q",
                kind="adapter",
                rank=2,
                scale=4.0,
                adapters=1,
                layer=None,
            )
        )
    return made


def steps(**columns: Any) -> list[Made]:
    return [step(n, **columns) for n in range(1, 9)]


def test_a_layer_with_an_adapter_is_counted_once() -> None:
    inner = row(
        "modules", capture=B, module="q", canonical="q", kind="adapter", adapters=1, **{"class": "LoRALinear"}
    )
    assert [(r["subject"], r["fault"]) for r in ask(evidence(*trained(), inner), "lora-nested", A, B)] == [
        ("q", False)
    ]


CAUSES = (
    "nothing-trainable",
    "optimizer-never-stepped",
    "wrong-model-updated",
    "compile-state-not-captured",
    "gradients-zero",
    "learning-rate-zero",
    "update-lost-to-rounding",
)


@pytest.mark.parametrize(
    ("cause", "made"),
    [
        (
            "nothing-trainable",
            [
                trained(updates=0, frozen=("w", "q.lora_a", "q.lora_b"), points=("loaded", "end")),
                event("train", 3),
            ],
        ),
        ("optimizer-never-stepped", [trained(updates=0, points=("loaded", "end")), event("grad", 3)]),
        (
            "wrong-model-updated",
            [
                trained("q.lora_b"),
                steps(),
                row(
                    "models",
                    run="r",
                    model="m1",
                    **{"class": "Model"},
                    updates=0,
                    writes=0,
                    saves=1,
                    generations=1,
                    parameters=3,
                ),
            ],
        ),
        (
            "compile-state-not-captured",
            [
                trained(),
                steps(),
                row(
                    "compiled",
                    run="r",
                    purpose="step",
                    calls=8,
                    traces=1,
                    state_in_inputs=False,
                    state_in_outputs=True,
                ),
            ],
        ),
        ("gradients-zero", [trained(), steps(gradient_norm=0.0, update_norm=0.0)]),
        ("learning-rate-zero", [trained(), steps(learning_rate=0.0, update_norm=0.0)]),
        ("update-lost-to-rounding", [trained(), steps(update_norm=0.0), event("update", 3)]),
    ],
)
def test_where_nothing_moved_the_first_cause_alone_is_named(cause: str, made: list[Any]) -> None:
    if cause == "wrong-model-updated":
        made[0][0] = [
            (t, r | ({"parameters": 3, "saves": 0} if t == "models" else {})) for t, r in made[0][0]
        ]
    session = evidence(*[each for part in made for each in (part if isinstance(part, list) else [part])])
    assert [name for name in CAUSES if faulty(session, name)] == [cause]


@pytest.mark.parametrize(("loaded", "fault"), [(0, True), (30, False)])
def test_a_model_that_was_loaded_after_the_updates_is_no_twin_that_should_have_had_them(
    loaded: int, fault: bool
) -> None:
    made = trained("q.lora_b")
    made[0] = [(t, r | ({"parameters": 3, "saves": 0} if t == "models" else {})) for t, r in made[0]]
    twin = row(
        "models",
        run="r",
        model="m1",
        **{"class": "Model"},
        updates=0,
        writes=0,
        saves=0,
        generations=1,
        parameters=3,
    )
    read = event("load", loaded, model="m1", detail={"what": "model", "via": "load_model"})
    asked = event("generate", 40, model="m1", detail={"generation": 1})
    assert (
        bool(faulty(evidence(*made, *steps(), event("update", 20), twin, read, asked), "wrong-model-updated"))
        == fault
    )


def test_a_run_that_learned_has_none_of_these_causes() -> None:
    session = evidence(*trained("q.lora_a", "q.lora_b"), *steps(), event("update", 3))
    for name in (
        "nothing-trainable",
        "optimizer-never-stepped",
        "wrong-model-updated",
        "gradients-zero",
        "learning-rate-zero",
    ):
        assert clean(session, name), name
    assert clean(session, "parameters-unchanged")
    assert clean(session, "lora-inert")


def test_updates_that_were_written_over_are_not_lost_to_rounding() -> None:
    back = event("write", 9, detail={"via": "load_weights", "after_gradient": True}, place="train.py:9")
    session = evidence(*trained(), *steps(update_norm=0.5), event("update", 3), back)
    assert [name for name in CAUSES if faulty(session, name)] == []
    for name in ("parameters-unchanged", "lora-inert"):
        told, *_ = faulty(session, name)
        assert "written back" in told["fix_"] and told["place"] == "train.py:9", name


def test_a_compiled_step_without_its_state_wrote_nothing_back() -> None:
    back = event("write", 9, detail={"via": "load_weights", "after_gradient": True}, place="train.py:9")
    fixed = row(
        "compiled", run="r", purpose="step", calls=8, traces=1, state_in_inputs=False, state_in_outputs=True
    )
    session = evidence(*trained(), *steps(update_norm=0.5), event("update", 3), back, fixed)
    assert faulty(session, "compile-state-not-captured")
    told, *_ = faulty(session, "parameters-unchanged")
    assert "written back" not in told["fix_"] and told["place"] is None


@pytest.mark.parametrize(
    ("left", "told"), [(0, "nothing is left to train"), (1, "1 of 2 base tensors are trained")]
)
def test_a_missing_adapter_says_what_the_last_freeze_left(left: int, told: str) -> None:
    meant = row("adapters", run="r", origin="declared", via="argument", kind="lora", strength="strong")
    made = [*parameter("loaded", "w", "d"), *parameter("loaded", "v", "e")]
    made = [
        (table, {**columns, "trainable": True} if table == "placements" else columns)
        for table, columns in made
    ]
    froze = event("freeze", 2, detail={"trainable_after": left}, time=9.0)
    session = evidence(run(updates=0), capture("loaded"), *made, meant, froze, event("grad", 3))
    (found,) = ask(session, "lora-missing", "r@loaded", "r@loaded")
    assert found["fault"] and found["observed"] == told


@pytest.mark.parametrize(("left", "fault"), [(0, False), (1, True)])
def test_an_import_alone_says_nothing_of_an_adapter_where_training_never_began(
    left: int, fault: bool
) -> None:
    """One that was put in by hand, then frozen, is in no capture: nothing-trainable is the cause."""
    meant = row("adapters", run="r", origin="declared", via="import", kind="lora", strength="import")
    froze = event("freeze", 2, detail={"trainable_after": left}, time=9.0)
    session = evidence(
        run(updates=0), capture("loaded"), *parameter("loaded", "w", "d"), meant, froze, event("grad", 3)
    )
    (found,) = ask(session, "lora-missing", "r@loaded", "r@loaded")
    assert found["fault"] is fault


@pytest.mark.parametrize(("digest", "fault"), [("b", True), ("another", False)])
def test_a_saved_adapter_is_held_against_the_model_as_it_was_adapted(digest: str, fault: bool) -> None:
    """The file of an adapter alone shares no name with the model as it was loaded."""
    made = [*parameter("loaded", "w", "w"), *parameter("adapted", "w", "w")]
    made += parameter("adapted", "q.lora_b", "b", role="lora_b", trainable=True)
    made += parameter("saved", "q.lora_b", digest, role="lora_b")
    points = [capture(point) for point in ("loaded", "adapted", "saved")]
    session = evidence(run(updates=0), *points, *made, event("grad", 3))
    rows = ask(session, "optimizer-never-stepped", "r@loaded", "r@saved")
    assert [each["fault"] for each in rows] == [fault]


def test_an_adapter_whose_factors_are_both_zero_is_inert_and_no_zero_gradient() -> None:
    made = trained()
    for item in made[2:]:
        for table, values in item if isinstance(item, list) else [item]:
            if table == "tensors" and "lora" in values["digest"]:
                values["zeros"] = 16
    session = evidence(*made, *steps(gradient_norm=0.0))
    assert faulty(session, "lora-inert")
    assert clean(session, "gradients-zero")


def test_a_frozen_weight_that_moved_is_told_from_one_that_was_trainable() -> None:
    frozen = evidence(
        *trained("w", "q.lora_b"),
        event("grad", 2, detail={"via": "mx.value_and_grad", "wrt": "all", "frozen_leaves": 1}),
    )
    assert faulty(frozen, "frozen-but-changed")
    assert clean(frozen, "base-not-frozen")
    loose = evidence(*trained("w", "q.lora_b", frozen=()))
    assert faulty(loose, "base-not-frozen")
    assert not ask(loose, "frozen-but-changed", A, B)
    for session in (frozen, loose):
        assert faulty(session, "base-weights-overwritten")


def test_a_frozen_weight_that_no_recorded_call_touched_is_another_finding() -> None:
    assert clean(evidence(*trained("w", "q.lora_b")), "frozen-but-changed")


def test_a_norm_that_was_unfrozen_on_purpose_is_told_and_not_an_error() -> None:
    made = trained("w", "q.lora_b", frozen=())
    for item in made[2:]:
        for table, values in item if isinstance(item, list) else [item]:
            if table == "placements" and values["name"] == "w":
                values["role"] = "norm"
    session = evidence(*made, event("unfreeze", 2))
    assert {each["severity"] for each in faulty(session, "base-not-frozen")} == {"info"}


def expected(expect: str | None, made: list[Any]) -> list[Any]:
    """The run of which the user said so by --expect."""
    made[0][0][1]["expect"] = expect
    return made


@pytest.mark.parametrize(
    ("expect", "kind", "fault"),
    [
        (None, "adapter", False), ("lora", "adapter", False), ("dora", "dora", False),
        ("lora", "dora", True), ("dora", "adapter", True), ("full", "adapter", True),
        ("none", "adapter", True),
    ],
)  # fmt: skip
def test_an_adapter_that_was_trained_is_held_against_what_the_user_said(
    expect: str | None, kind: str, fault: bool
) -> None:
    made = expected(expect, trained("q.lora_b"))
    for item in made[2:]:
        if isinstance(item, tuple) and item[0] == "modules":
            item[1]["kind"] = kind
    assert [each["subject"] for each in faulty(evidence(*made), "lora-partial")] == ["kind"] * fault
    if expect in ("full", "none"):  # an adapter that only stands there was trained by nobody
        assert not faulty(evidence(*expected(expect, trained())), "lora-partial")


@pytest.mark.parametrize(("expect", "fault"), [("none", True), ("full", False), (None, False)])
def test_weights_that_moved_where_nothing_was_meant_to_train_are_overwritten(
    expect: str | None, fault: bool
) -> None:
    made = [
        run(expect=expect),
        capture("loaded"),
        capture("start"),
        capture("end", updates=8),
        parameter("loaded", "w", "d0"),
        parameter("start", "w", "d0", trainable=True),
        parameter("end", "w", "d1"),
    ]
    assert [each["why"] for each in faulty(evidence(*made), "base-weights-overwritten")] == [
        "nothing was meant to be trained"
    ] * fault


def wrapped(head: str, digest: str, *, trainable: Sequence[str] = (), zeros: int = 0) -> list[Any]:
    """m1 of the program's own class around m0, which a loader brought.

    m1 has two of m0's weights, its adapter, and `head`, which moves.
    """
    made: list[Any] = [
        run(main_model="m1"),
        row("models", run="r", model="m1", updates=8),
        event("load", detail={"what": "model"}, model="m0"),
    ]
    made += [
        capture(p, model=m, updates=8 * (p == "end"))
        for p in ("loaded", "start", "end")
        for m in ("m0", "m1")
    ]
    made += [
        parameter("loaded", name, name, trainable=False) for name in ("a.weight", "b.weight", "c.weight")
    ]
    for point in ("start", "end"):
        for ref, prefix in ((f"r@{point}", ""), (f"r@{point}:m1", "lm.")):
            for leaf in ("lora_a", "lora_b"):
                moved, zero = point == "end" and leaf in trainable, zeros * (leaf == "lora_b")
                made.append(
                    parameter(
                        ref,
                        f"{prefix}q.{leaf}",
                        f"{leaf}{moved}",
                        role=leaf,
                        trainable=leaf in trainable,
                        zeros=zero,
                    )
                )
    for point in ("loaded", "start", "end"):
        made += [
            parameter(f"r@{point}:m1", f"lm.{name}", name, trainable=False)
            for name in ("a.weight", "b.weight")
        ]
        made.append(
            parameter(f"r@{point}:m1", head, f"moved-{digest}" if point == "end" else digest, trainable=True)
        )
    return made


def of_wrapper(session: Any, name: str) -> list[dict[str, Any]]:
    return ask(session, name, "r@loaded:m1", "r@end:m1")


@pytest.mark.parametrize(
    ("head", "digest", "fault"),
    [
        ("score.weight", "s", False),
        ("lm.c.weight", "s", True),  # the loader's by its name, though not by its values
        ("last.weight", "c.weight", True),  # and the other way round
    ],
)
def test_a_head_that_the_program_made_is_its_own_to_train(head: str, digest: str, fault: bool) -> None:
    session = evidence(*wrapped(head, digest, trainable=("lora_a", "lora_b")))
    for name in ("base-not-frozen", "base-weights-overwritten"):
        told = of_wrapper(session, name)
        assert told and any(each["fault"] for each in told) is fault, name


@pytest.mark.parametrize(
    ("trainable", "zeros", "frozen", "inert"),
    [
        ((), 16, 2, 1),  # a fresh adapter beside a head that is trained
        ((), 0, 0, 0),  # one that was trained elsewhere
        (("lora_b",), 0, 1, 0),
        (("lora_a", "lora_b"), 0, 0, 0),
    ],
)
def test_an_adapter_that_is_frozen_as_a_whole_beside_a_trained_head(
    trainable: Sequence[str], zeros: int, frozen: int, inert: int
) -> None:
    """What two models share counts once."""
    session = evidence(*wrapped("score.weight", "s", trainable=trainable, zeros=zeros))
    told = {
        name: [each for each in of_wrapper(session, name) if each["fault"]]
        for name in ("adapter-partly-frozen", "lora-inert")
    }
    assert [len(each) for each in told.values()] == [frozen, inert]


def test_a_first_factor_that_was_frozen_by_its_name_is_meant() -> None:
    """As LoRA-FA does; the second factor, which begins at zero, is not left out so."""
    for trainable, keys, frozen in (
        (("lora_b",), ["lora_a"], 0),
        (("lora_b",), None, 1),
        (("lora_a",), ["lora_b"], 1),
    ):
        named = [event("freeze", 3, model=model, detail={"keys": keys}) for model in ("m0", "m1")]
        session = evidence(*wrapped("score.weight", "s", trainable=trainable, zeros=0), *named)
        told = [each for each in of_wrapper(session, "adapter-partly-frozen") if each["fault"]]
        assert len(told) == frozen, (trainable, keys)


@pytest.mark.parametrize(
    ("ratio", "weight", "fault"), [(0.25, 1.0, False), (1.0, 1.0, True), (1.0, 0.25, False)]
)
def test_gradients_that_were_added_are_told_from_a_mean_taken_earlier(
    ratio: float, weight: float, fault: bool
) -> None:
    """A loss that is divided by the number of batches itself may be added up."""
    tokens = [
        row(
            "loss_tokens",
            run="r",
            model="m0",
            step=1,
            forward=f,
            row=0,
            position=0,
            weight=weight,
            residual=0.0,
        )
        for f in range(4)
    ]
    session = evidence(*trained("q.lora_b"), *steps(gradients=4, accumulation=ratio), *tokens)
    assert bool(faulty(session, "accumulation-mismatch")) is fault


@pytest.mark.parametrize(("functions", "fault"), [(1, True), (2, False), (None, True)])
def test_losses_with_a_gradient_function_each_are_added(functions: int | None, fault: bool) -> None:
    tokens = row(
        "loss_tokens", run="r", model="m0", step=1, forward=0, row=0, position=0, weight=1.0, residual=0.0
    )
    made = steps(gradients=2, accumulation=1.0, functions=functions)
    assert bool(faulty(evidence(*trained("q.lora_b"), *made, tokens), "accumulation-mismatch")) is fault


@pytest.mark.parametrize(
    ("along", "losses", "severity"),
    [
        (-1.0, [2.0, 3.0], "error"),
        (-1.0, [3.0, 2.0], "warning"),
        (1.0, [2.0, 3.0], None),
        (0.1, [2.0, 3.0], None),  # another direction, projected say
        (None, [2.0, 3.0], None),
    ],
)
def test_a_gradient_whose_sign_is_turned(
    along: float | None, losses: list[float], severity: str | None
) -> None:
    made = [step(n, along=along, loss=loss) for n, loss in enumerate(losses, start=1)]
    found = faulty(evidence(*trained("q.lora_b"), *made), "loss-sign-flipped")
    assert [each["severity"] for each in found] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("carried", "fault"),
    [
        ([0.0, 1.0, 1.0, 1.01], True),
        ([0.0, None, None, 1.0], False),  # one update alone, by chance
        ([0.0, 0.9, 0.9, 0.9, 0.9], False),  # momentum by hand
        ([0.0, 0.0, 0.0, 0.0], False),
        ([0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0], False),  # gathered over more batches than one update's
    ],
)
def test_gathered_gradients_that_stay_after_an_update_are_in_the_next(
    carried: list[float | None], fault: bool
) -> None:
    made = [step(n, gradients=4, carried=share, gradient_norm=n) for n, share in enumerate(carried, start=1)]
    assert bool(faulty(evidence(*trained("q.lora_b"), *made), "accumulation-mismatch")) is fault


@pytest.mark.parametrize(
    ("told", "gradients", "fault"), [([4], 1, True), ([4, 1], 1, False), ([], 1, False), ([4], 4, False)]
)
def test_updates_at_another_rate_than_declared(told: list[int], gradients: int, fault: bool) -> None:
    said = [
        row("configs", capture="r", kind="program", key="gradient_accumulation_steps", value=k) for k in told
    ]
    session = evidence(*trained("q.lora_b"), *steps(gradients=gradients), *said)
    assert bool(faulty(session, "accumulation-mismatch")) is fault


@pytest.mark.parametrize(
    ("length", "each", "fault"), [(8, 4, False), (32, 4, True), (1000, 4, False), (32, 1, False)]
)
def test_a_schedule_that_counts_batches(length: int, each: int, fault: bool) -> None:
    session = evidence(
        *trained("q.lora_b"),
        *steps(gradients=each),
        row("schedules", run="r", kind="cosine_decay", steps=length),
    )
    assert bool(faulty(session, "schedule-in-wrong-unit")) is fault


def test_a_schedule_that_ended_long_before_the_run() -> None:
    made = [step(n, learning_rate=0.0 if n > 2 else 1e-3) for n in range(1, 9)]
    assert faulty(
        evidence(*trained("q.lora_b"), *made, row("schedules", run="r", kind="cosine_decay", steps=2)),
        "schedule-in-wrong-unit",
    )


def said(**columns: Any) -> Made:
    base = {"run": "r", "origin": "declared", "via": "argument", "kind": "lora", "strength": "strong"}
    return row("adapters", **(base | columns))


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        ([{"scale": 4.0}], False),
        ([{"rank": 2, "alpha": 8.0}], False),
        ([{"rank": 2, "alpha": 4.0}], True),
        ([{"scale": 20.0}, {"scale": 4.0}], False),  # defaults that something overrides
        ([{"scale": 4.0}, {"scale": 20.0, "via": "saved-config"}], True),
    ],
)
def test_the_scale_in_force_against_the_declared(declared: list[dict[str, Any]], fault: bool) -> None:
    session = evidence(*trained("q.lora_b"), *[said(**each) for each in declared])
    assert bool(faulty(session, "lora-scale-mismatch")) is fault


def decayed(factor: float, cosine: float, spread: float = 0.0) -> list[Any]:
    made: list[Any] = [run(), capture("loaded"), capture("start"), capture("end", updates=8)]
    for n in range(4):
        made += [parameter(p, f"w{n}", f"a{n}", trainable=False, l2=1.0) for p in ("loaded", "start")]
        made += [
            parameter("end", f"w{n}", f"b{n}", trainable=False, l2=factor - spread * n),
            delta(f"a{n}", f"b{n}", cosine=cosine),
        ]
    return made


@pytest.mark.parametrize(
    ("factor", "cosine", "spread", "fault"),
    [(0.99, 1.0, 0.0, True), (0.99, 0.999, 0.0, False), (0.99, 1.0, 0.01, False), (1.01, 1.0, 0.0, False)],
)
def test_decay_is_one_factor_for_all_frozen_weights(
    factor: float, cosine: float, spread: float, fault: bool
) -> None:
    assert bool(faulty(evidence(*decayed(factor, cosine, spread)), "uniform-decay")) is fault


@pytest.mark.parametrize(
    ("before", "after", "fault"), [("h", "h", False), ("e", "h", True), ("x", "h", False)]
)
def test_a_tie_is_broken_where_there_was_one(before: str, after: str, fault: bool) -> None:
    made: list[Any] = [run(), capture("loaded"), capture("start"), capture("end", updates=8)]
    for point, head in (("start", before), ("end", after)):
        made.append(parameter(point, "embed.weight", "h" if after == before else "e", role="embedding"))
        made.append(parameter(point, "head.weight", head, role="head"))
    session = evidence(*made)
    assert bool(faulty(session, "tie-broken")) is fault


def test_a_second_optimizer_after_the_first_begins_again() -> None:
    made = trained("q.lora_b", updates=16)
    made += [step(n, optimizer="o0" if n <= 8 else "o1") for n in range(1, 17)]
    kept = {"capture": "r@end", "class": "Adam", "learning_rate": 1e-3, "settings": "{}", "state_l2": 1.0}
    first = row("optimizers", optimizer="o0", step=8, **kept)
    assert faulty(
        evidence(*made, first, row("optimizers", optimizer="o1", step=8, **kept)), "optimizer-restarted"
    )
    assert clean(
        evidence(*made, first, row("optimizers", optimizer="o1", step=16, **kept)), "optimizer-restarted"
    )


def restarts(times: int, *more: Made, names: Sequence[str] = ("w", "w")) -> list[dict[str, Any]]:
    """A run whose optimizer is made anew every four updates under a falling rate.

    `names` are what steps 1 and 8 updated.
    """
    last = 4 * (times + 1)
    made = trained("q.lora_b", updates=last)
    made += [
        event("update", 2 + n, detail={"optimizer": "Adam"}, place="train.py:9") for n in range(times + 1)
    ]
    made += [step(n, optimizer=f"o{(n - 1) // 4}") for n in range(1, last + 1)]
    made += [
        row("gradients", run="r", process=0, model="m0", step=n, name=name)
        for n, name in zip((1, 8), names, strict=True)
    ]
    kept = {
        "capture": "r@end",
        "class": "Adam",
        "settings": "{}",
        "state_l2": 1.0,
        "state_tensors": 2,
        "step": 4,
    }
    made += [
        row("optimizers", optimizer=f"o{n}", learning_rate=1 / (1 + n), **kept) for n in range(times + 1)
    ]
    return faulty(evidence(*made, *more), "optimizer-restarted")


def test_an_optimizer_that_begins_again_three_times_is_told_whatever_the_rate() -> None:
    told = restarts(3)
    # one a restart
    assert [each["subject"] for each in told] == [f"m0 after {n} updates" for n in (4, 8, 12)]
    assert {(each["severity"], each["place"]) for each in told} == {("error", "train.py:9")}


def test_phases_are_no_restarts() -> None:
    written = event("write", 4, detail={"after_gradient": True})
    for told in (restarts(2), restarts(3, written), restarts(3, names=("w", "q.lora_b"))):
        assert {each["severity"] for each in told} == {"info"}


def test_not_finite_weights_say_where_it_began() -> None:
    made: list[Any] = [run(), capture("loaded"), capture("start"), capture("end", updates=8)]
    made += [parameter(p, "w", "a", trainable=True) for p in ("loaded", "start")] + [
        parameter("end", "w", "b", trainable=True, nans=3, infs=0)
    ]
    nan = float("nan")
    session = evidence(
        *made,
        step(1),
        step(2, gradient_norm=nan, nonfinite=1, update_norm=nan),
        step(3, loss=nan, nonfinite=1),
    )
    found = faulty(session, "weights-not-finite")
    assert [row["subject"] for row in found] == ["step 2", "w"]
    assert "gradient of step 2" in found[0]["first"]


def test_nothing_is_claimed_without_the_facts() -> None:
    """Two models at rest: no trainable set, no steps, no events."""
    rest: list[Any] = [
        ("runs", {"run": "r", "kind": "rest"}),
        capture("loaded", source="file"),
        capture("end", source="file"),
    ]
    rest += [parameter("loaded", "w", "a"), parameter("end", "w", "b")]
    session = evidence(*rest)
    for name in (
        "base-not-frozen",
        "frozen-but-changed",
        "base-weights-overwritten",
        "uniform-decay",
        "lora-missing",
        "gradients-zero",
    ):
        assert not ask(session, name, A, B), name
