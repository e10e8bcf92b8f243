"""Detectors of generation, of answers and of unseen changes, on hand-made rows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.evidence import Made, ask, capture, delta, event, evidence, parameter, probe, row, run

WEIGHTS = {"before": "d0", "after": "d1", "between": "d5"}


def session(*made: Any, generations: int = 1) -> Any:
    """A run whose one trainable tensor moved from d0 to d1."""
    states = [
        each
        for point, digest, updates in (("loaded", "d0", 0), ("start", "d0", 0), ("end", "d1", 8))
        for each in [capture(point, updates=updates), *parameter(point, "w", digest, trainable=True)]
    ]
    return evidence(
        run(generations=generations, saves=1), states, event("update", 1, detail={"first": True}), *made
    )


def asked(number: int = 1, **columns: Any) -> list[Made]:
    base = {
        "run": "r",
        "process": 0,
        "generation": number,
        "model": "m0",
        "updates": 8,
        "capture": "r@end",
        "via": "generate",
        "output_tokens": 20,
    }
    base |= {
        "logit_scale": 10.0,
        "repeat_difference": 0.0,
        "cache_tokens": 0,
        "stop_tokens": 1,
        "end_in_stop_set": True,
        "sampler": "greedy",
    }
    base |= {"place": "train.py:9", "prompt_digest": "q", "settings": {"temperature": 0.0}}
    return [
        row("generations", **base | columns),
        event("generate", 100 + number, detail={"generation": number}),
    ]


def faulty(name: str, *made: Any) -> list[dict[str, Any]]:
    return [each for each in ask(session(*made), name, "r@loaded", "r@end") if each["fault"]]


def other(state: str, number: int = 1, model: str = "m1", **columns: Any) -> list[Made]:
    """A generation of another object in a state of the tensor."""
    ref = f"r@loaded:{model}"
    made = [
        capture("loaded", model=model),
        *parameter(ref, "w", WEIGHTS[state]),
        *asked(number, capture=ref, model=model, updates=0),
    ]
    return [*made, row("models", run="r", model=model, process=0, updates=0, saves=0, **columns)]


def itself(digest: str) -> list[Made]:
    """A generation of the trained object after its tensor was set to another state."""
    return [
        capture("generate-1", updates=8),
        *parameter("r@generate-1", "w", digest),
        *asked(1, capture="r@generate-1"),
    ]


@pytest.mark.parametrize(
    ("made", "fault"),
    [
        ([asked()], False),
        ([other("before")], True),
        ([other("between")], True),
        ([other("after")], False),
        ([other("before"), asked(2)], False),  # a comparison with the base
        ([itself("d0")], True),
        ([itself("d0"), asked(2)], False),  # the base's answers beside its own
        ([itself("d7")], False),  # a state of its own: the best, an average
    ],
)
def test_which_parameters_generation_used(made: list[Any], fault: bool) -> None:
    assert bool(faulty("stale-model-in-generation", *made)) == fault


@pytest.mark.parametrize(
    ("read", "fix"),
    [
        ([], "generate with the object that optimizer.update was given"),
        (["model"], "load the trained adapter with the model"),
        (["model", "adapter"], "load the file that holds the trained parameters: f, written at train.py:7"),
    ],
)
def test_a_model_that_was_loaded_to_generate_is_to_load_what_was_trained(read: list[str], fix: str) -> None:
    loads = [
        event("load", 20 + n, model="m1", detail={"what": what, "from_adapter": what == "adapter"})
        for n, what in enumerate(read)
    ]
    file = row(
        "saved_tensors",
        run="r",
        process=0,
        save=0,
        file="f",
        place="train.py:7",
        name="w",
        canonical="w",
        digest="d1",
        digest_on_disk="d1",
    )
    factor = row("placements", capture="r@end", name="q.lora_a", canonical="q.lora_a", role="lora_a")
    assert faulty("stale-model-in-generation", other("before"), loads, file, factor)[0]["fix_"].startswith(
        fix
    )


@pytest.mark.parametrize(("apart", "fault"), [(0.0, True), (0.1, False)])
def test_a_base_that_was_unpacked_is_the_base_without_what_was_trained(apart: float, fault: bool) -> None:
    base = [
        parameter(point, "b", "codes", value_digest="value", trainable=False)
        for point in ("loaded", "start", "end")
    ]
    ref = "r@loaded:m1"
    dense = [
        capture("loaded", model="m1"),
        *parameter(ref, "b", "dense"),
        delta("value", "dense", max_abs=apart),
    ]
    made = [
        *base,
        dense,
        asked(capture=ref, model="m1", updates=0),
        row("models", run="r", model="m1", process=0, updates=0, saves=0),
    ]
    assert bool(faulty("stale-model-in-generation", *made)) == fault


@pytest.mark.parametrize(
    ("before", "after", "dtype", "fault"),
    [
        (0.3, 0.001, "F16", False),  # a cast of what was trained
        (0.001, 0.3, "F16", True),  # a cast of what was there before
        (0.42, 0.4, "U32", False),  # 2 bits: all far away, and nearest to what was trained
        (1.4, 1.41, "F16", True),  # near to neither
        (0.3, 0.001, "F32", True),  # of the same type: it is another state
    ],
)
def test_another_type_is_what_it_lies_nearer_to(before: float, after: float, dtype: str, fault: bool) -> None:
    ref = "r@loaded:m1"
    made = [
        capture("loaded", model="m1"),
        *parameter(ref, "w", "d9", dtype=dtype),
        delta("d0", "d9", l2=before, relative=before),
        delta("d1", "d9", l2=after, relative=after),
        *asked(capture=ref, model="m1", updates=0),
        row("models", run="r", model="m1", process=0, updates=0, saves=0),
    ]
    assert bool(faulty("stale-model-in-generation", *made)) == fault


@pytest.mark.parametrize(
    ("measured", "severity"), [((30, 31), "info"), ((30, 60), "error"), ((60, 61), "error")]
)
def test_an_older_file_is_the_best_only_where_that_was_measured_before_it_was_loaded(
    measured: tuple[int, int], severity: str
) -> None:
    files = [
        each
        for save, (digest, updates) in enumerate((("d5", 4), ("d1", 8)))
        for each in (
            row(
                "saved_tensors",
                run="r",
                process=0,
                model="m0",
                save=save,
                file=f"step-{updates}",
                updates=updates,
                name="w",
                canonical="w",
                digest=digest,
                digest_on_disk=digest,
            ),
            event("save", 20 + save, detail={"save": save}),
        )
    ]
    load = event("load", 50, model="m1", detail={"what": "adapter", "via": "load_weights"})
    measures = [event("evaluate", sequence) for sequence in measured]
    found = faulty("stale-model-in-generation", *files, load, *measures, *other("between"))
    assert [each["severity"] for each in found] == [severity]


def test_a_running_average_that_is_saved_is_not_stale() -> None:
    file = row(
        "saved_tensors",
        run="r",
        process=0,
        save=0,
        file="f",
        name="w",
        canonical="w",
        digest="d5",
        digest_on_disk="d5",
    )
    assert not faulty("stale-model-in-generation", other("between"), file)


def compiled(**columns: Any) -> Made:
    base = {
        "run": "r",
        "process": 0,
        "function": 0,
        "purpose": "forward",
        "calls": 4,
        "traces": 1,
        "place": "train.py:5",
        "live_scale": 10.0,
    }
    return row("compiled", **base | columns)


@pytest.mark.parametrize(
    ("live", "repeat", "fault"),
    [(0.0, 0.0, False), (0.01, 0.0, False), (5.0, 0.0, True), (5.0, 4.0, False), (None, None, False)],
)
def test_a_compiled_forward_against_its_model(live: float | None, repeat: float | None, fault: bool) -> None:
    assert (
        bool(faulty("stale-compiled-function", compiled(live_difference=live, repeat_difference=repeat)))
        == fault
    )


@pytest.mark.parametrize(
    ("used", "captured", "calls", "fault"),
    [(True, False, 4, True), (True, True, 4, False), (False, False, 4, False), (True, False, 1, False)],
)
def test_random_numbers_in_compiled_functions(used: bool, captured: bool, calls: int, fault: bool) -> None:
    made = compiled(random_used=used, random_captured=captured, calls=calls, purpose="sampler")
    assert bool(faulty("compile-random-frozen", made)) == fault


@pytest.mark.parametrize(
    ("columns", "fault"),
    [
        ({"cache_tokens": 40, "cache_difference": 6.0, "cache_updates_behind": 8}, True),
        ({"cache_tokens": 40, "cache_difference": 0.01, "cache_updates_behind": 8}, False),
        (
            {
                "cache_tokens": 40,
                "cache_difference": 6.0,
                "cache_updates_behind": 0,
                "repeat_difference": 5.0,
            },
            False,
        ),  # dropout
        ({"cache_tokens": 40, "cache_difference": 6.0, "settings": {"kv_bits": 4}}, False),
        ({}, False),
    ],
)
def test_the_prompt_cache(columns: dict[str, Any], fault: bool) -> None:
    assert bool(faulty("stale-prompt-cache", asked(**columns))) == fault


@pytest.mark.parametrize(("difference", "fault"), [(0.0, False), (0.005, False), (3.0, True)])
def test_two_equal_forwards(difference: float, fault: bool) -> None:
    assert (
        bool(faulty("dropout-in-generation", asked(repeat_difference=difference, training_modules=14)))
        == fault
    )
    assert (
        bool(faulty("dropout-in-generation", compiled(training_at_trace=True, repeat_difference=difference)))
        == fault
    )


@pytest.mark.parametrize(
    ("columns", "dropout", "random"),
    [
        ({"repeat_difference": 3.0, "eval_difference": 2.0, "eval_repeat_difference": 0.0}, True, False),
        ({"repeat_difference": 3.0, "eval_difference": 2.0, "eval_repeat_difference": 2.5}, False, True),
        ({"repeat_difference": 3.0, "eval_difference": 3.0}, False, True),  # all was in evaluation mode
        ({"repeat_difference": 3.0, "eval_difference": 2.0}, True, False),  # recorded before this was asked
        ({"repeat_difference": 0.0, "eval_difference": 0.0}, False, False),
    ],
)
def test_what_evaluation_mode_does_not_end_is_no_dropout(
    columns: dict[str, Any], dropout: bool, random: bool
) -> None:
    assert bool(faulty("dropout-in-generation", asked(**columns))) == dropout
    assert bool(faulty("randomness-in-generation", asked(**columns))) == random


@pytest.mark.parametrize(
    ("position", "stops", "fault"),
    [(None, True, False), (5, False, True), (5, None, True), (5, True, False), (None, False, False)],
)
def test_an_end_that_does_not_stop(position: int | None, stops: bool | None, fault: bool) -> None:
    assert bool(faulty("stop-token-missing", asked(end_position=position, end_in_stop_set=stops))) == fault


def words(point: str, size: int, model: str = "m0") -> list[Made]:
    ref = f"r@{point}" + ("" if model == "m0" else f":{model}")
    return [row("configs", capture=ref, kind="tokenizer", key="vocab_size", value=str(size))]


def test_tokenizers_of_training_and_generation() -> None:
    same = [
        words("start", 384),
        words("loaded", 384, "m1"),
        other("after", settings={"vocabulary": 384})[:-1],
    ]
    assert not faulty("tokenizer-mismatch", *same)
    assert faulty("tokenizer-mismatch", words("start", 384), words("loaded", 387, "m1"), other("after"))
    assert faulty("tokenizer-mismatch", words("start", 384), asked(settings={"vocabulary": 387}))


def test_two_tokenizers_of_one_size_are_told_apart_by_their_tokens() -> None:
    def with_token(point: str, token: str) -> list[Made]:
        return [
            *words(point, 384),
            row("configs", capture=f"r@{point}", kind="tokenizer", key=f"added_tokens.{token}", value="383"),
        ]

    (found,) = faulty("tokenizer-mismatch", with_token("start", "<a>"), with_token("end", "<b>"))
    assert (found["observed"], found["expected"]) == (
        "384 tokens, 1 of them added (others)",
        "384 tokens, 1 of them added",
    )


@pytest.mark.parametrize(("digest", "fault"), [("d1", True), ("d0", False), (None, False)])
def test_two_tokenizers_with_other_ids_for_the_same_tokens(digest: str | None, fault: bool) -> None:
    def spelled(point: str, digest: str | None) -> list[Made]:
        value = json.dumps(digest)
        of_all = row("configs", capture=f"r@{point}", kind="tokenizer", key="vocabulary_digest", value=value)
        return [*words(point, 384), of_all]

    assert bool(faulty("tokenizer-mismatch", spelled("start", "d0"), spelled("end", digest))) is fault
    settings = {"vocabulary": 384, "vocabulary_digest": digest}
    assert bool(faulty("tokenizer-mismatch", spelled("start", "d0"), asked(settings=settings))) is fault


SAMPLED = {"sampler": "sampled", "settings": {"temperature": 1.2}}


@pytest.mark.long
def test_samplers_are_compared_for_equal_prompts_and_parameters() -> None:
    def told(*made: Any) -> list[str]:
        return [each["severity"] for each in faulty("sampler-differs", *made)]

    twin = other("after", 2)[:-1]
    drawn = [(table, values | (SAMPLED if table == "generations" else {})) for table, values in twin]
    assert told(asked(), twin) == []
    assert told(asked(), drawn) == ["warning"]
    assert told(asked(), asked(2, **SAMPLED)) == ["info"]  # several settings tried on one model
    assert told(asked(), asked(2, **SAMPLED, prompt_digest="another")) == []
    assert told(asked(1, **SAMPLED), asked(2, **SAMPLED)) == []


SPAM = {"special_tokens": 20, "output_tokens": 20, "finish_reason": "length"}
LOOP = {"loop_share": 0.9, "output_tokens": 40, "finish_reason": "length"}


@pytest.mark.parametrize(
    ("before", "after", "severity"),
    [({}, SPAM, "error"), (SPAM, SPAM, None), ({}, LOOP, "info"), (LOOP, LOOP, None), ({}, {}, None)],
)
def test_a_collapse_is_one_where_the_base_has_none(
    before: dict[str, Any], after: dict[str, Any], severity: str | None
) -> None:
    told = faulty("generation-collapse", probe("loaded", **before), probe("end", **after))
    assert [each["severity"] for each in told] == ([severity] if severity else [])


@pytest.mark.parametrize(
    ("same", "apart", "severity"), [(True, 0.0, "warning"), (True, 0.5, "info"), (False, 5.0, None)]
)
def test_answers_that_training_left_alone(same: bool, apart: float, severity: str | None) -> None:
    made = row(
        "probe_deltas",
        capture_a="r@loaded",
        capture_b="r@end",
        prompt_id="p0",
        same_output=same,
        logits_max_abs=apart,
    )
    told = faulty("output-unchanged", probe("loaded"), probe("end"), made)
    assert [each["severity"] for each in told] == ([severity] if severity else [])


def test_answers_at_the_end_and_after_it_are_no_answers_that_training_left_alone() -> None:
    made = row(
        "probe_deltas",
        capture_a="r@end",
        capture_b="r@reloaded",
        prompt_id="p0",
        same_output=True,
        logits_max_abs=0.0,
    )
    points = [capture("end", sequence=3), capture("reloaded", sequence=5)]
    assert (
        ask(
            evidence(run(), *points, probe("end"), probe("reloaded"), made),
            "output-unchanged",
            "r@end",
            "r@reloaded",
        )
        == []
    )


@pytest.mark.parametrize(
    ("scorer", "before", "after", "fault"),
    [("exact-match", 1.0, 0.5, True), ("exact-match", 1.0, 0.95, False), ("length", 20.0, 4.0, False)],
)
def test_scores_that_fell(scorer: str, before: float, after: float, fault: bool) -> None:
    made = [
        row("scores", capture=f"r@{p}", prompt_id="p0", scorer=scorer, key="", value=v)
        for p, v in (("loaded", before), ("end", after))
    ]
    assert bool(faulty("score-dropped", probe("loaded"), probe("end"), made)) == fault


def frozen(after: str) -> list[Made]:
    return [
        each
        for point, digest in (("loaded", "f0"), ("start", "f0"), ("end", after))
        for each in parameter(point, "frozen", digest, trainable=False)
    ]


def test_a_frozen_tensor_that_moved_unseen() -> None:
    assert faulty("unexplained-change", frozen("f1"))
    assert not faulty("unexplained-change", frozen("f0"))
    assert not faulty("unexplained-change", frozen("f1"), event("write", 5, detail={"frozen_leaves": 1}))
