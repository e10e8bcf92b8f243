"""Roles of training rows: padding, turns, ends; what targets say; frames; shares of answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.capture import answers, frames, order, roles
from forensics.capture.frames import Facts
from forensics.store.keyed import Keyed

PAD, START, END, NEWLINE, USER, ASSISTANT = 0, 1, 2, 10, 11, 12
CHAT = Facts.read(
    {
        "bos_id": None, "pad_id": PAD, "eos_ids": [END], "end_ids": [END], "special_ids": [PAD, START, END],
        "rows": 384,
        "frame": {
            "head": [START, USER, NEWLINE],
            "middle": [END, NEWLINE, START, ASSISTANT, NEWLINE],
            "tail": [END, NEWLINE],
        },
    }
)  # fmt: skip
PLAIN = Facts.read({"pad_id": PAD, "eos_ids": [END], "end_ids": [END], "special_ids": [PAD, END]})
SAME_PAD = Facts.read({"pad_id": END, "eos_ids": [END], "end_ids": [END], "special_ids": [END]})
QUESTION, ANSWER = [50, 51, 52], [60, 61]
ROW = [START, USER, NEWLINE, *QUESTION, END, NEWLINE, START, ASSISTANT, NEWLINE, *ANSWER, END, NEWLINE]
OF_ROW = ["p", "p", "p", "p", "p", "p", "e", "p", "p", "p", "p", "a", "a", "e", "a"]
SHORT = {"p": "prompt", "a": "answer", "e": "end", "x": "pad", "-": None}


def lines(
    rows: Sequence[Sequence[int]], shift: int = 1, weights: Sequence[Sequence[float]] | None = None
) -> list[roles.Line]:
    """Rows as a program that hands `row[:-1]` to the model has them; the target stands `shift` further on."""
    made = []
    for i, row in enumerate(rows):
        inputs = list(row[:-1])
        w = list(weights[i]) if weights else [1.0] * len(inputs)
        targets = [row[j + shift] if j + shift < len(row) and w[j] else None for j in range(len(inputs))]
        w = [value if target is not None else 0.0 for value, target in zip(w, targets, strict=True)]
        made.append(roles.Line(i, inputs, targets, w, w, [0.0] * len(inputs)))
    return made


def told(rows: Sequence[Sequence[int]], facts: Facts = CHAT, **how: Any) -> list[str]:
    """The roles of each row's tokens from the second on, as one letter each."""
    letters = {v: k for k, v in SHORT.items()}
    return [
        "".join(letters[r.role(i)] for i in range(len(r.line.inputs)))
        for r in roles.read(lines(rows, **how), facts)
    ]


def test_prompt_and_answer_by_the_templates_markers() -> None:
    assert told([ROW]) == ["".join(OF_ROW[1:])]


def test_padding_of_a_tail_and_its_end() -> None:
    assert told([ROW + [PAD] * 4]) == ["".join(OF_ROW[1:]) + "xxxx"]
    assert told([[7, 8, 9, END, END, END]], SAME_PAD) == ["aaexx"], (
        "the first of a tail of end tokens is the end"
    )
    assert told([[7, 8, 9, END, PAD]], PLAIN) == ["aaex"], "the tokenizer's own pad counts alone"


def test_an_end_that_is_cut_from_the_inputs_is_read_off_the_target() -> None:
    assert told([[7, 8, 9, END]], PLAIN) == ["aae"]
    assert roles.read(lines([[7, 8, 9, END]]), PLAIN)[0].tokens == [7, 8, 9, END]


def test_a_position_without_a_next_token_has_no_role() -> None:
    whole = roles.Line(0, [7, 8, 9, END], [8, 9, END, None], [1.0, 1.0, 1.0, 0.0], [1.0] * 4, [0.0] * 4)
    assert [roles.read([whole], PLAIN)[0].role(i) for i in range(4)] == ["answer", "answer", "end", None]


def test_padding_before_a_row() -> None:
    assert told([[PAD] * 3 + [7, 8, END]], PLAIN) == ["xxaae"]


def test_repeated_text_is_no_padding() -> None:
    assert told([[7, 8, 9, 9], [7, 8, 9, 6]], PLAIN) == ["aaa", "aaa"]
    assert told([[40, 40, 7, 8], [40, 41, 7, 8]], PLAIN) == ["aaa", "aaa"]


def test_what_stands_within_rows_as_well_is_no_padding_at_their_tails() -> None:
    """Windows of a text end where they end: in the two r of Arr, or in the spaces of an indented line."""
    assert told([[7, 8, 9, 9], [8, 9, 9, 7], [6, 7, 9, 9]], PLAIN) == ["aaa", "aaa", "aaa"]
    assert told([[7, 8, 4, 4, 4, 4], [7, 4, 4, 4, 4, 8]], PLAIN) == ["aaaaa", "aaaaa"]
    assert told([[7, 5, 8, 5, 5, 5], [7, 8, 9, 6, 5, 5]], PLAIN) == ["aaxxx", "aaaxx"], "once, as a word may"


def test_a_run_of_equal_text_at_the_head_is_no_padding() -> None:
    """As the three # of a headline are."""
    assert told([[40, 40, 40, 7, 8]], PLAIN) == ["aaaa"]
    assert told([[40, 40, 40, 7, 8], [40, 40, 40, 7, 9]], PLAIN) == ["aaaa", "aaaa"]
    assert told([[40, 40, 40, 7, 8, END], [40, 40, 8, END, PAD, PAD]], PLAIN) == [
        "aaaae",
        "aaexx",
    ], "what is filled up at its tail has none before"


def test_padding_with_an_id_that_the_tokenizer_does_not_name() -> None:
    assert told([[7, 8, 9, 5, 5], [7, 5, 5, 5, 5]], PLAIN) == ["aaxx", "xxxx"]
    assert told([[5, 5, 5, 7, 8], [5, 5, 7, 8, 9], [6, 7, 8, 9, 6]], PLAIN) == ["xxaa", "xaaa", "aaaa"]
    assert told([[5, 5, 5, 7, END], [5, 5, 7, 8, END]], SAME_PAD) == ["xxae", "xaae"], "one end is no padding"
    assert told([[5, 5, 5, 7, 8], [7, 8, 5, 5, 5]], PLAIN) == [
        "xxaa",
        "axxx",
    ], "what pads tails may pad heads"
    assert told([[5] * 6 + [7, 8], [3, 4, 7, 8, 9, 6, 8, 9]], PLAIN) == [
        "xxxxxaa",
        "aaaaaaa",
    ], "many before one row, and none before another"


def test_ends_inside_packed_rows_are_ends_and_what_follows_keeps_its_role() -> None:
    assert told([[7, END, 8, 9, END, 6]], PLAIN) == ["eaaea"]
    assert told([ROW + ROW]) == ["".join(OF_ROW[1:] + OF_ROW)]


def test_a_masked_head_is_the_prompt_where_no_marker_tells() -> None:
    row = [7, 8, 9, 20, 21, END]
    assert told([row], PLAIN, weights=[[0, 0, 1, 1, 1]]) == ["ppaae"]
    assert told([row], PLAIN, weights=[[1, 1, 1, 1, 1]]) == ["aaaae"]


def test_markers_stand_above_masks() -> None:
    n = len(ROW) - 1
    assert told([ROW], weights=[[0] * 3 + [1] * (n - 3)]) == ["".join(OF_ROW[1:])]


@pytest.mark.parametrize(("shift", "relation"), [(1, "next"), (0, "same"), (2, "next-but-one")])
def test_relations_of_targets(shift: int, relation: str) -> None:
    read = roles.read(lines([ROW + [PAD] * 6], shift=shift), CHAT)[0]
    assert set(read.relations) - {None} == {relation}


def test_llama_markers_are_told_apart_by_the_role_between_them() -> None:
    begin, close, head_end = 3, 4, 5
    frame = {
        "head": [1, begin, USER, head_end, NEWLINE],
        "middle": [close, begin, ASSISTANT, head_end, NEWLINE],
        "tail": [close],
    }
    special = [1, begin, close, head_end]
    facts = Facts.read(
        {"special_ids": special, "end_ids": [close], "eos_ids": [close], "bos_id": 1, "frame": frame}
    )
    assert facts.markers == ((begin, USER, head_end, NEWLINE), (begin, ASSISTANT, head_end, NEWLINE))


# -- properties ----------------------------------------------------------------------------------------------

text = st.lists(st.integers(20, 40), min_size=1, max_size=8)


@given(st.lists(st.tuples(text, text), min_size=1, max_size=4), st.integers(0, 5))
def test_every_token_of_a_padded_batch_gets_the_role_it_was_written_with(
    pairs: list[tuple[list[int], list[int]]], extra: int
) -> None:
    rows, expected = [], []
    for question, answer in pairs:
        rows.append(
            [START, USER, NEWLINE, *question, END, NEWLINE, START, ASSISTANT, NEWLINE, *answer, END, NEWLINE]
        )
        expected.append("ppp" + "p" * len(question) + "epppp" + "a" * len(answer) + "ea")
    width = max(map(len, rows)) + extra
    padded = [row + [PAD] * (width - len(row)) for row in rows]
    assert told(padded) == [e[1:] + "x" * (width - len(e)) for e in expected]


@given(st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=12), min_size=1, max_size=4))
def test_any_batch_is_read_whole(rows: list[list[int]]) -> None:
    for line, read in zip(lines(rows), roles.read(lines(rows), PLAIN), strict=True):
        assert len(read.outline.roles) == len(read.tokens) >= len(line.inputs)
        assert 0 <= read.outline.head <= read.outline.tail <= len(read.tokens)
        assert all(role == "pad" for role in read.outline.roles[read.outline.tail :])


# -- frames --------------------------------------------------------------------------------------------------


def test_frames() -> None:
    assert frames.frame(ROW, CHAT) == "template"
    assert frames.frame(QUESTION + ANSWER, CHAT) == "none"
    assert frames.frame([START, ASSISTANT, NEWLINE, *ANSWER], CHAT) == "partial"
    assert frames.frame(ROW, PLAIN) is None


def test_a_row_ends_as_the_template_ends_it() -> None:
    assert frames.ends(ROW, CHAT) and frames.ends(ROW[:-1], CHAT)
    assert not frames.ends(ROW[:-2], CHAT) and not frames.ends([], CHAT)


def test_the_shared_head_stops_where_the_users_text_begins() -> None:
    other = [START, USER, NEWLINE, *QUESTION[:2], 77, END]
    assert frames.shared_head([ROW, other], CHAT) == (START, USER, NEWLINE)
    assert frames.shared_head([ROW], CHAT) == (START, USER, NEWLINE)
    assert frames.shared_head([[7, 8]], CHAT) is None
    assert frames.shared_head([[7, 8], [7, 9]], CHAT) == (7,)


def test_bos_is_counted_and_folded() -> None:
    facts = Facts.read({"bos_id": 3, "special_ids": [3]})
    assert frames.bos_count([3, 3, 7], facts) == 2
    assert frames.fold([3, 3, 7], facts) == [7] == frames.fold([3, 7], facts)


# -- answers -------------------------------------------------------------------------------------------------

KEYED = Keyed(b"k" * 32)


def answer(output: list[int], finish: str = "length") -> dict[str, Any]:
    raw = {
        "prompt_id": "p0",
        "source": "probe",
        "prompt_ids": ROW[:11],
        "output_ids": output,
        "finish_reason": finish,
        "output": "x",
    }
    return dict(answers.transcript(raw, "r@end", CHAT, KEYED))


def test_special_tokens_but_for_the_one_that_stopped() -> None:
    assert answer([60, 61, END], "stop")["special_tokens"] == 0
    row = answer([PAD] * 9 + [60])
    assert (row["special_tokens"], row["top_token_share"], row["top_token_class"]) == (9, 0.9, "pad")


def test_an_answer_of_its_end_alone_says_nothing() -> None:
    row = answer([END], "stop")
    assert row["special_tokens"] == 0 and row["loop_share"] is None and row["output_tokens"] == 1


@pytest.mark.parametrize(
    ("output", "share"),
    [
        ([5] * 10, 0.9),
        ([1, 2, 3, 4], 0.0),
        ([1, 2] * 5, 0.8),
        ([1, 1, 2, 3], 0.0),
        ([9, 8, 7] + [1, 2, 3] * 3, 0.5),
    ],
)
def test_loops(output: list[int], share: float) -> None:
    assert answers.loop_share(output) == pytest.approx(share)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60))
def test_loop_share_is_a_share(output: list[int]) -> None:
    share = answers.loop_share(output)
    assert share is not None and 0.0 <= share < 1.0


def test_built_in_scores() -> None:
    row = answer([60, 61, END], "stop") | {"output": " Paris. "}
    found = {str(s["scorer"]): s["value"] for s in answers.scores([row], {"p0": "Paris."})}
    assert found == {"special-share": 0.0, "repetition": 0.0, "length": 3.0, "exact-match": 1.0}
    assert not list(answers.scores([answer([], "error")], {}))


def test_keyed_digests_say_equal_and_nothing_else() -> None:
    other = Keyed(b"o" * 32)
    assert KEYED.digest([1, 2]) == KEYED.digest((1, 2)) != KEYED.digest([12])
    assert KEYED.digest([1, 2]) != other.digest([1, 2])


def test_targets_of_another_row_are_told_from_noise() -> None:
    rows = [[1, 5, 6, 7, 8], [1, 9, 10, 11, 12]]

    def taught(targets: list[int], line: int) -> list[dict[str, Any]]:
        base = {
            "process": 0,
            "model": "m0",
            "step": 1,
            "forward": 0,
            "row": line,
            "weight": 1.0,
            "residual": 0.0,
        }
        relations = ["next" if y == rows[line][i + 1] else "other" for i, y in enumerate(targets)]
        return [
            {**base, "position": i, "input_id": x, "target_id": y, "relation": relations[i]}
            for i, (x, y) in enumerate(zip(rows[line], targets, strict=False))
        ]

    swapped, noisy = taught([9, 10, 11, 12], 0), taught([9, 10, 3, 12], 1)
    order.mark([*swapped, *noisy], rows)
    assert [each["elsewhere"] for each in swapped] == [True] * 4
    assert [each.get("elsewhere") for each in noisy] == [None, None, False, None]
    assert {each.get("renumbered") for each in [*swapped, *noisy]} == {False, None}


def test_next_tokens_under_other_numbers_are_told_from_noise() -> None:
    rows = [[1, 5, 6, 7, 8, 5, 6], [1, 5, 6, 9, 8, 7, 7]]

    def taught(number: Callable[[int], int]) -> list[dict[str, Any]]:
        return [
            {
                "process": 0, "model": "m0", "step": 1, "forward": 0, "row": line, "weight": 1.0,
                "position": i, "input_id": x, "target_id": number(y), "relation": "other", "residual": 0.0,
            }
            for line, row in enumerate(rows)
            for i, (x, y) in enumerate(zip(row, row[1:], strict=False))
        ]  # fmt: skip

    def said(number: Callable[[int], int]) -> set[bool]:
        order.mark(tokens := taught(number), rows)
        return {each["renumbered"] for each in tokens}

    noise = iter(range(20, 40))
    assert said(lambda token: token + 20) == {True}
    assert said(lambda token: next(noise)) == {False}
    assert said(lambda token: 20) == {False}  # one label for all


def test_a_symbol_that_ends_a_row_twice_is_text_where_it_stands_within_others() -> None:
    """Without a tokenizer; an id that stands at edges alone is padding all the same."""
    drawn = [roles.edges(row) for row in ([1, 5, 5], [5, 1, 2], [2, 5, 1], [3, 5, 2])]
    assert roles.text(drawn) == {5}
    assert not roles.padding(
        [roles.edges([1, 2, 5, 5]), roles.edges([3, 2, 5, 5])], Facts(text=roles.text(drawn))
    )
    padded = [roles.edges(row) for row in ([1, 2, 0, 0], [3, 0, 0, 0], [2, 1, 3, 2])]
    assert roles.text(padded) == set()
    assert roles.padding(padded, Facts(text=roles.text(padded))) == {0}
