"""Detectors of what the loss trains on, on hand-made rows.

Each fires on its fault, and keeps still on what looks like it.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.evidence import Made, ask, capture, event, evidence, loss_token, missing, row, run, step

ROLES = {"p": "prompt", "a": "answer", "e": "end", "_": "pad"}


CUT = row("datasets", run="r", process=0, source="file", cut=2, cap=1)
"""Two records of a data file go on where their row ends."""


def lesson(
    roles: str, weights: str, *, number: int = 1, line: int = 0, relation: str = "next", **columns: Any
) -> list[Made]:
    """One training row: a letter for each position's role, the next token's, and 1 or 0 for its weight.

    n is a weight of NaN.

    `pppeaaae__` is a prompt, its end, an answer of three tokens, its end, and two pads.
    """
    made: list[Made] = []
    for position, (role, weight) in enumerate(zip(roles, weights, strict=True)):
        value = float("nan") if weight == "n" else float(weight)
        has = value == value and value != 0
        made.append(
            loss_token(
                number,
                position,
                value,
                ROLES[role],
                row=line,
                relation=relation if has else None,
                residual=float("nan") if weight == "n" else 0.0,
                ignore_index=False if has else None,
            )  # fmt: skip
        )
    body = roles.rstrip("_")
    base = {
        "run": "r", "process": 0, "model": "m0", "step": number, "forward": 0, "row": line,
        "width": len(roles), "tokens": len(body) + 1, "prompt_tokens": roles.count("p"),
        "answer_tokens": roles.count("a"), "pad_tokens": roles.count("_"),
        "first_pad": len(body) + 1 if len(body) < len(roles) else None, "ends_with_end": body.endswith("e"),
        "at_cap": False, "bos_count": 0, "framed": True, "frame": "template", "row_digest": f"{roles}{line}",
        "head_digest": "h", "out_of_range": 0,
    }  # fmt: skip
    return [*made, row("batch_rows", **base | columns)]


def found(name: str, *made: Made | list[Made]) -> list[dict[str, Any]]:
    """The faulty rows of a detector on a watched run with these rows."""
    return [each for each in rows(name, *made) if each["fault"]]


def rows(name: str, *made: Made | list[Made]) -> list[dict[str, Any]]:
    return ask(evidence(run(), capture("loaded"), capture("end"), *made), name, "r@loaded", "r@end")


MASKED, WHOLE = lesson("pppeaaae__", "0000111100"), lesson("pppeaaae__", "1111111100")


@pytest.mark.parametrize(
    ("weights", "fault"),
    [
        ("1111111100", False),
        ("1111111110", False),  # one pad a row, as mlx-lm's own loss has it
        ("1111111111", True),
        ("0000111111", True),
    ],
)
def test_padding_counts_after_the_first_pad_of_a_row(weights: str, fault: bool) -> None:
    assert bool(found("padding-in-loss", lesson("pppeaaae__", weights))) == fault


def test_the_share_of_padding_is_one_number_and_says_what_it_counts() -> None:
    (row_,) = found("padding-in-loss", lesson("pppeaaae__", "1111111111"))
    assert row_["portion"] == "10 %" and row_["observed"].startswith(
        "1 of 10 target tokens are padding after the first pad of a row"
    )
    assert row_["observed"].endswith("carry 10 % of the weight")


def test_rows_without_padding_are_in_order_and_no_rows_are_not_evaluated() -> None:
    assert [each["fault"] for each in rows("padding-in-loss", lesson("ppaae", "11111"))] == [False]
    assert rows("padding-in-loss") == []


def test_padding_before_the_row_has_no_first_pad_that_is_borne() -> None:
    assert found("padding-in-loss", lesson("__ppaae", "1111111", first_pad=None))
    assert not found("padding-in-loss", lesson("__ppaae", "0011111", first_pad=None))


@pytest.mark.parametrize(
    ("relation", "detector"),
    [
        ("same", "labels-not-shifted"),
        ("next-but-one", "labels-shifted-twice"),
        ("next", None),
        ("other", None),
    ],
)
def test_the_shift_is_read_off_the_relation_of_targets(relation: str, detector: str | None) -> None:
    made = lesson("pppeaaae__", "1111111100", relation=relation)
    named = [name for name in ("labels-not-shifted", "labels-shifted-twice") if found(name, made)]
    assert named == ([detector] if detector else [])


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        ("0000111100", None),
        ("0000111110", None),  # mlx-lm's one pad
        ("0000011110", "mask-off-by-one"),  # late: the first answer token is left out, a pad is in
        ("0001111000", "mask-off-by-one"),  # early: the last token of the prompt is in, the end is left out
        ("0011111100", "prompt-in-loss"),
        ("1111111100", None),  # a loss over all of it
    ],
)
def test_what_lies_beside_the_answer(weights: str, named: str | None) -> None:
    made = [each for number in (1, 2) for each in lesson("pppeaaae__", weights, number=number)]
    assert [name for name in ("mask-off-by-one", "prompt-in-loss") if found(name, made)] == (
        [named] if named else []
    )


def test_a_prompt_mask_that_is_declared_counts_where_nothing_is_masked() -> None:
    told = event("train", detail={"declared": {"mask_prompt": True}})
    assert found("prompt-in-loss", WHOLE, told)
    assert not found("prompt-in-loss", MASKED, told)
    assert found(
        "prompt-in-loss",
        WHOLE,
        row("configs", capture="r", kind="program", key="train_on_inputs", value="false"),
    )


@pytest.mark.parametrize("key", ["mask_prompt", "mask-prompt", "data.maskPrompt", "MASK_PROMPT"])
def test_a_prompt_mask_is_declared_however_its_name_is_written(key: str) -> None:
    assert found("prompt-in-loss", WHOLE, row("configs", capture="r", kind="program", key=key, value="true"))
    assert not found(
        "prompt-in-loss", WHOLE, row("configs", capture="r", kind="program", key=key + "s", value="true")
    )


@pytest.mark.parametrize("weights", ["1111000000", "0011000000", "1111100000"])
def test_a_run_that_trains_prompts_and_no_answer_has_its_mask_inverted(weights: str) -> None:
    made = lesson("pppeaaae__", weights)
    assert [each["confidence"] for each in found("prompt-in-loss", made)] == ["probable"]
    told = event("train", detail={"declared": {"mask_prompt": True}})
    assert [each["confidence"] for each in found("prompt-in-loss", made, told)] == ["certain"]
    assert not found(
        "prompt-in-loss", lesson("pppeaaae__", "1111111100", line=1), lesson("pppeaaae__", "1111000000")
    )


def test_rows_of_which_nothing_is_trained_say_nothing_of_the_mask() -> None:
    assert rows("prompt-in-loss", lesson("pppeaaae__", "0000000000")) == []


def test_a_late_mask_that_ends_at_the_end_token_reaches_what_the_template_writes_after_it() -> None:
    late = [each for line in (0, 1) for each in lesson("pppeaaaea__", "00000111100", line=line)]
    right = [each for line in (0, 1) for each in lesson("pppeaaaea__", "00001111100", line=line)]
    assert [each["confidence"] for each in found("mask-off-by-one", late)] == ["probable"] * 2
    assert rows("mask-off-by-one", right) and not found("mask-off-by-one", right)


@pytest.mark.parametrize(
    ("roles", "weights", "columns", "named"),
    [
        ("pppeaaae__", "0000111000", {}, "end-never-trained"),
        ("pppeaaae__", "0000111100", {}, None),
        ("pppeaaaa__", "0000111100", {}, "end-never-trained"),  # there is none in the data
        ("pppeaaaa", "00001111", {"at_cap": True}, "answers-truncated"),
    ],
)
def test_ends_that_are_masked_missing_or_cut_are_told_apart(
    roles: str, weights: str, columns: dict[str, Any], named: str | None
) -> None:
    made = [each for line in (0, 1) for each in lesson(roles, weights, line=line, **columns)]
    assert [name for name in ("end-never-trained", "answers-truncated") if found(name, made, [CUT])] == (
        [named] if named else []
    )


def test_one_long_row_is_no_truncation() -> None:
    long = lesson("pppeaaaaaa", "0000111111", line=1, at_cap=True)
    assert not found("answers-truncated", MASKED, long, [CUT])


def test_a_cap_is_seen_and_not_guessed_from_the_longest_rows() -> None:
    made = [each for line in (0, 1) for each in lesson("pppeaaaa", "00001111", line=line, at_cap=True)]
    declared = event("train", detail={"declared": {"max_seq_length": 9}})
    longer = event("train", detail={"declared": {"max_seq_length": 64}})
    assert rows("answers-truncated", made) == []
    assert found("answers-truncated", made, [declared]) and not found("answers-truncated", made, [longer])


def test_answers_that_the_program_drew_need_no_end() -> None:
    open_ = [each for line in (0, 1) for each in lesson("pppeaaaa__", "0000111100", line=line)]
    assert found("end-never-trained", open_)
    assert rows("end-never-trained", open_, [step(1, drawn_rows=2, forwards=1)]) == []


def test_an_empty_mask_is_told_from_weights_that_fail() -> None:
    empty = [*lesson("pppeaaae", "00000000"), step(1, loss=0.0)]
    divided = [*lesson("pppeaaae", "nnnnnnnn"), step(1, loss=float("nan"), parameter_norm=1.0)]
    later = [*lesson("pppeaaae", "nnnnnnnn"), step(1, loss=float("nan"), parameter_norm=float("nan"))]
    assert found("all-tokens-masked", empty) and found("all-tokens-masked", divided)
    assert not found("all-tokens-masked", later) and not found("all-tokens-masked", MASKED, step(1))


def scaled(made: list[Made], factor: float) -> list[Made]:
    return [
        (
            t,
            v
            | (
                {"weight": v["weight"] * factor, "mass": abs(v["mass"] * factor)}
                if t == "loss_tokens"
                else {}
            ),
        )
        for t, v in made
    ]


@pytest.mark.parametrize(
    ("rows_", "fault"),
    [
        ((("pppeaaae", 1), ("pppeaaaaae", 1)), True),  # one weight a token
        ((("pppeaaae", 1 / 4), ("pppeaaaaae", 1 / 6)), True),  # one weight a row
        ((("pppeaaae", 1), ("pppeaaaaae", 3)), False),
        ((("pppeaaae", 1), ("pppeaaae", -1)), False),
    ],
)
def test_a_step_without_weight_is_masked_only_where_a_mask_alone_sets_weights(
    rows_: tuple[tuple[str, float], ...], fault: bool
) -> None:
    """An advantage of 0, where all rewards of a group are equal, is no mask."""
    made = [
        scaled(lesson(roles, "0000" + "1" * (len(roles) - 4), number=2, line=line), factor)
        for line, (roles, factor) in enumerate(rows_)
    ]
    assert (
        bool(found("all-tokens-masked", lesson("pppeaaae", "00000000"), step(1, loss=0.0), step(2), *made))
        == fault
    )


def test_one_position_that_is_no_cross_entropy_hides_no_masked_step() -> None:
    noisy = lesson("pppeaaaaae", "0000111111", number=2)
    odd = next(v for t, v in noisy if t == "loss_tokens" and v["weight"])
    odd["residual"] = 0.2
    assert found("all-tokens-masked", lesson("pppeaaae", "00000000"), step(1, loss=0.0), step(2), *noisy)


def test_the_ignore_index_needs_every_other_target_to_be_it() -> None:
    ignored = [
        ("loss_tokens", values | {"ignore_index": True, "relation": "other"})
        for table, values in WHOLE[:4]
        if table == "loss_tokens"
    ]
    assert found("ignore-index-as-token", ignored, WHOLE[4:])
    other = [("loss_tokens", values | {"relation": "other"}) for _, values in WHOLE[:4]]
    assert not found("ignore-index-as-token", ignored[:2], other[2:], WHOLE[4:])


def test_ids_out_of_range() -> None:
    assert found("token-id-out-of-range", lesson("ppaae", "11111", out_of_range=1))
    assert not found("token-id-out-of-range", lesson("ppaae", "11111"))


def asked(number: int = 1, **columns: Any) -> list[Made]:
    base = {
        "run": "r",
        "process": 0,
        "generation": number,
        "model": "m0",
        "updates": 8,
        "capture": "r@end",
        "output_tokens": 8,
    }
    base |= {
        "frame": "template",
        "framed": True,
        "bos_count": 0,
        "cache_tokens": 0,
        "place": "train.py:9",
        "sampler": "greedy",
    }
    return [
        row("generations", **base | columns),
        event("generate", 100 + number, detail={"generation": number}),
    ]


@pytest.mark.parametrize(
    ("trained", "frame", "cache", "fault"),
    [
        ("template", "template", 0, False),
        ("template", "none", 0, True),
        ("none", "template", 0, True),
        ("none", "none", 0, False),
        ("template", "partial", 40, False),  # what stands before lies in the cache
    ],
)
def test_the_form_of_rows_and_prompts(trained: str, frame: str, cache: int, fault: bool) -> None:
    made = lesson("ppaae", "11111", frame=trained)
    assert bool(found("template-mismatch", made, asked(frame=frame, cache_tokens=cache))) == fault


@pytest.mark.parametrize(
    ("rows_", "prompts", "subject"),
    [(2, 1, "Training rows"), (1, 2, "Generation prompts"), (1, 1, None), (2, 2, None)],
)
def test_begin_tokens(rows_: int, prompts: int, subject: str | None) -> None:
    told = found("double-bos", lesson("ppaae", "11111", bos_count=rows_), asked(bos_count=prompts))
    assert [each["subject"] for each in told] == ([subject] if subject else [])


def batches(*kinds: str, records: int = 20, handed: int | None = None) -> list[Made]:
    made = [
        row(
            "datasets",
            run="r",
            process=0,
            source="file",
            file="train.jsonl",
            records=records,
            purpose="train",
        )
    ]
    if handed is not None:
        made.append(row("datasets", run="r", process=0, source="trainer", records=handed, purpose="train"))
    for number, kind in enumerate(kinds, start=1):
        made += lesson("ppaae", "11111", number=number, row_digest=kind)
    return made


def test_the_same_batch_is_a_fault_where_there_is_more() -> None:
    assert found("same-batch-repeated", batches("x", "x", "x"))
    assert not found("same-batch-repeated", batches("x", "x", "x", records=1))
    assert not found("same-batch-repeated", batches("x", "y", "x"))


def test_one_batch_may_be_meant_unless_a_trainer_was_handed_more() -> None:
    """A first try is to let a model learn one batch by heart."""
    assert [each["severity"] for each in found("same-batch-repeated", batches("x", "x", "x"))] == ["warning"]
    assert [each["severity"] for each in found("same-batch-repeated", batches("x", "x", "x", handed=20))] == [
        "error"
    ]
    assert not found("same-batch-repeated", batches("x", "x", "x", handed=1))


@pytest.mark.parametrize(
    ("used", "between", "drawn", "fault"),
    [(20, 0, 40, False), (15, 5, 40, True), (15, 0, 40, False), (15, 5, 16, False), (19, 1, 60, False)],
)
def test_records_count_as_dropped_between_others_after_two_passes(
    used: int, between: int, drawn: int, fault: bool
) -> None:
    data = {
        "run": "r",
        "process": 0,
        "source": "file",
        "file": "train.jsonl",
        "purpose": "train",
        "records": 20,
        "rows_seen": used,
    }
    assert (
        bool(
            found(
                "records-dropped",
                row("datasets", **data, rows_drawn=drawn, used=used, unused_between=between),
            )
        )
        == fault
    )


@pytest.mark.parametrize(
    ("weights", "fault"),
    [
        ("000000001110", True),  # the first token of the last answer is left out, a pad is in
        ("000000011100", False),
        ("000000111000", True),  # early
        ("001100011100", False),  # every answer
    ],
)
def test_the_mask_of_a_last_answer_lies_beside_it(weights: str, fault: bool) -> None:
    made = [each for line in range(2) for each in lesson("ppaepppaae__", weights, line=line)]
    assert bool(found("mask-off-by-one", made)) is fault


def test_what_was_evaluated_had_been_trained_on() -> None:
    data = {"run": "r", "process": 0, "source": "forward", "purpose": "valid", "records": 4}
    assert found("evaluated-on-training-data", row("datasets", **data, used=4))
    assert not found("evaluated-on-training-data", row("datasets", **data, used=3))
    shown = [each for n in (1, 2, 3) for each in asked(n, trained_on=True, prompt_digest=f"p{n}")]
    began = event("update", 1, detail={"first": True})
    assert [each["severity"] for each in found("evaluated-on-training-data", began, shown)] == ["info"]


def preference(equal: int, number: int, outside: int = 0, drawn: int = 0) -> list[Made]:
    chosen, rejected = (
        lesson("ppaae", "11111", number=number),
        lesson("ppaae", "11111", number=number, line=1),
    )
    pushed = [(t, v | ({"weight": -1.0} if t == "loss_tokens" else {})) for t, v in rejected]
    made = step(number, forwards=2, equal_forwards=equal, equal_outside=outside, drawn_rows=drawn)
    return [*chosen, *pushed, made]


def test_the_reference_may_equal_the_policy_once() -> None:
    assert not found("reference-is-policy", preference(2, 1), preference(0, 2), preference(0, 3))
    assert found("reference-is-policy", preference(2, 1), preference(2, 2), preference(2, 3))
    assert rows("reference-is-policy", WHOLE, step(1), step(2)) == []


def test_a_policy_may_be_held_against_itself_on_what_it_sampled_for_the_step() -> None:
    """Log-probabilities of samples before an update equal those under its gradient.

    Rows that it did not draw are a reference's, whatever it generated beside.
    """
    sampled = [asked(number, updates=number - 1) for number in (1, 2, 3)]
    assert rows("reference-is-policy", *[preference(2, n, 2, drawn=2) for n in (1, 2, 3)]) == []
    assert found("reference-is-policy", *[preference(2, n, drawn=2) for n in (1, 2, 3)])
    assert found("reference-is-policy", *[preference(2, n, outside=2) for n in (1, 2, 3)], *sampled)


def test_without_loss_tokens_nothing_is_claimed() -> None:
    session = evidence(
        run(missing=[{"what": "loss tap", "why": "compiled away", "kind": "loss"}]),
        capture("loaded"),
        capture("end"),
    )
    assert missing(session, "loss_tokens") == "the loss at its tokens, which could not be recorded"
    assert ask(session, "padding-in-loss", "r@loaded", "r@end") == []


def test_at_most_all_of_a_gradient_is_unexplained() -> None:
    """Under label smoothing the small gradient of a confident position is read as forty times itself."""
    known = [loss_token(1, position, 1.0, mass=1.0) for position in range(9)]
    odd = loss_token(1, 9, -3.0, mass=0.1, residual=40.0)
    bare = [run(), capture("loaded"), capture("end"), step(1)]
    assert missing(evidence(*bare, *known, odd), "loss_tokens") is None
    wide = [loss_token(1, position, 1.0, mass=1.0, residual=0.9) for position in range(9)]
    assert missing(evidence(*bare, *wide, odd), "loss_tokens") is not None


def test_rows_without_a_template_are_cut_where_others_end() -> None:
    cut = [
        each for line in (1, 2) for each in lesson("aaaaaa", "111111", line=line, at_cap=True, frame="none")
    ]
    assert found("answers-truncated", lesson("aaae", "1111", frame="none"), cut, [CUT])
    assert rows("answers-truncated", cut, [CUT]) == []  # pieces of a long text


def test_pieces_of_a_stream_of_chats_have_no_answers_to_cut() -> None:
    def cut(**columns: Any) -> list[Made]:
        return [
            each
            for line in range(4)
            for each in lesson("ppaaaa", "111111", line=line, at_cap=True, frame="partial", **columns)
        ]

    assert found("answers-truncated", cut(), [CUT])
    assert rows("answers-truncated", cut(head_digest=None), [CUT]) == []  # each begins in the midst of a text
    ends = lesson("aae___", "111000", line=9, frame="partial", head_digest=None)
    assert rows("answers-truncated", cut(head_digest=None), ends, [CUT]) == []  # the last piece is shorter
    others = lesson("ppe___", "111000", line=8, frame="partial", head_digest=None)
    assert found("answers-truncated", cut(head_digest=None), ends, others, [CUT])  # rows of their own lengths


def test_an_answer_of_which_a_part_is_masked_and_the_next_text_of_a_packed_row() -> None:
    assert found("answers-partly-masked", lesson("pppeaaaaaaae", "000011110000"))
    assert not found("answers-partly-masked", lesson("pppeaaaaaaae", "000011111111"))
    # no template tells the second question from an answer: after an end it is the next text
    packed = lesson("pppaaaaaeaaaaaaaae", "000111111000000111")
    assert not found("answers-partly-masked", packed)
