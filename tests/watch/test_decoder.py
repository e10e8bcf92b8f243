"""Answers that are read ahead are the answers that one token after the other gives."""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx
import mlx.nn as nn
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mlx_lm import load

from forensics.watch.capture import decoder
from tests.support import tiny

WORDS = 5
PROMPT = (1, 2)


class Script(nn.Module):
    """Says a fixed answer, whatever it has read, token by token."""

    def __init__(self, answer: Sequence[int]) -> None:
        super().__init__()
        self.answer = list(answer)

    def __call__(self, ids: mx.array) -> mx.array:
        places = [min(max(0, i - len(PROMPT) + 1), len(self.answer) - 1) for i in range(ids.shape[1])]
        return mx.eye(WORDS)[mx.array([self.answer[place] for place in places])][None]


def decoded(script: Script, limit: int, stop: set[int], draft: Sequence[int] = ()) -> list[int]:
    line = decoder.Line(PROMPT, limit, draft)
    decoder.answer(script, [line], stop, 60.0, lambda _: False)
    assert line.error is None, line.error
    return [token.id for token in line.tokens]


def expected(answer: Sequence[int], limit: int, stop: set[int]) -> list[int]:
    whole = [*answer, *[answer[-1]] * limit][:limit]
    end = next((i for i, token in enumerate(whole) if token in stop), limit - 1)
    return whole[: end + 1]


answers = st.lists(
    st.tuples(st.lists(st.integers(0, WORDS - 1), min_size=1, max_size=4), st.integers(1, 9)), min_size=1
).map(lambda parts: [token for circle, times in parts for token in circle * times][:60])


@given(answers, st.integers(1, 48), st.sets(st.integers(0, WORDS - 1), max_size=1), answers | st.just([]))
@example([3] * 40 + [4] + [3] * 20, 48, set[int](), [3] * 48)
def test_an_answer_with_an_earlier_one_at_hand_is_the_one_that_the_model_gives(
    answer: list[int], limit: int, stop: set[int], draft: list[int]
) -> None:
    assert decoded(Script(answer), limit, stop, draft[:limit]) == expected(answer, limit, stop)


def test_a_batch_that_reads_guesses_says_what_each_prompt_alone_says_token_by_token() -> None:
    model, _ = load(str(tiny.cached()))
    model.eval()
    prompts = [(1, 40, 7), (1, 40, 7, 99, 12), (1, 60)]
    alone = [greedy(model, ids, 32) for ids in prompts]
    wrong = [answer[:5] + [9] * 27 for answer in alone]
    for drafts in ([()] * 3, alone, wrong):
        lines = [decoder.Line(ids, 32, draft) for ids, draft in zip(prompts, drafts, strict=True)]
        asked = decoder.answer(model, lines, set(), 60.0, lambda _: False)
        assert [[token.id for token in line.tokens] for line in lines] == alone
        assert asked.together == 3 and asked.apart is not None and asked.apart < 1e-4 and asked.read > 0


def test_a_batch_that_is_not_as_single_prompts_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of which the wrong tokens are taken out: what was said goes, and each prompt is asked alone."""
    model, _ = load(str(tiny.cached()))
    model.eval()
    prompts = [(1, 40, 7), (1, 40, 7, 99, 12), (1, 60)]
    alone = [greedy(model, ids, 32) for ids in prompts]
    wrong = [answer[: 3 + 2 * i] + [9] * 27 for i, answer in enumerate(alone)]
    dropped: list[Sequence[int]] = []
    monkeypatch.setattr(decoder, "drop", lambda _, counts: dropped.append(counts))
    monkeypatch.setattr(decoder, "_shown", {})
    lines = [decoder.Line(ids, 32, draft) for ids, draft in zip(prompts, wrong, strict=True)]
    asked = decoder.answer(model, lines, set(), 60.0, lambda _: False)
    assert [[token.id for token in line.tokens] for line in lines] == alone
    assert dropped and asked.together == 0


def greedy(model: nn.Module, ids: Sequence[int], count: int) -> list[int]:
    said = list(ids)
    for _ in range(count):
        said.append(int(mx.argmax(model(mx.array([said]))[0, -1]).item()))
    return said[len(ids) :]
