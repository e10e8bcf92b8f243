"""Outcomes: what is called proved, and what is not."""

from __future__ import annotations

import pytest

from forensics.prove.outcome import effects, judge

SPAM, LOOP = "special tokens in answers", "tokens that repeat"


def outcome(was: list[dict[str, int]], now: list[dict[str, int]]) -> str:
    return judge(effects(was, now, {}))[0]


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ([512, 512, 512], [0, 0, 0], "proved"),
        ([512, 480, 500], [3, 0, 40], "proved"),
        ([512, 512, 512], [498, 498, 498], "partly"),  # beyond what repeats differ by, and far from gone
        ([512, 500, 512], [498, 505, 498], "no-effect"),
        ([512, 512, 512], [0, 0, 300], "no-effect"),  # cured repeats differ by more than what went
        ([83, 32, 93], [0, 0, 0], "proved"),  # repeats as they were differ by more than the least of them
        ([83, 0, 93], [0, 0, 0], "impossible"),  # where it comes and goes by itself, none can be seen to go
        ([83, 0, 93], [83, 0, 93], "no-effect"),
        ([83, 42, 93], [30, 31, 29], "partly"),
        ([512, 512], [512, 512], "no-effect"),
        ([512, 512, 512], [512], "no-effect"),  # a first pair that differs in nothing is not repeated
        ([512], [0], "partly"),  # few runs prove nothing
        ([0, 0], [0, 0], "impossible"),
        ([0, 0], [9, 9], "impossible"),  # a harm that only the cure makes
        ([1, 0, 2], [0, 0, 0], "impossible"),
    ],
)
def test_one_harm(was: list[int], now: list[int], said: str) -> None:
    assert outcome([{SPAM: each} for each in was], [{SPAM: each} for each in now]) == said


def test_another_harm_in_its_place() -> None:
    was, now = [{SPAM: 500, LOOP: 0}] * 3, [{SPAM: 0, LOOP: 400}] * 3
    assert outcome(was, now) == "partly"


STALE, STILL = "answers of a model that was not the trained one", "trainable tensors that never moved"
UNITS = {SPAM: "tokens", LOOP: "tokens", STALE: "answers", STILL: "tensors"}


@pytest.mark.parametrize(
    ("gone", "grown", "said"),
    [(STALE, LOOP, "proved"), (SPAM, LOOP, "partly"), (SPAM, STILL, "partly"), (STALE, STILL, "partly")],
)
def test_what_grows_instead(gone: str, grown: str, said: str) -> None:
    """A trained model that answers at last may loop; a cure that stops the training takes any spam away."""
    was, now = [{gone: 20, grown: 0}] * 2, [{gone: 0, grown: 20}] * 2
    verdict, why = judge(effects(was, now, UNITS))
    assert verdict == said and grown in why


def test_a_model_without_numbers_had_no_answers() -> None:
    """What it says when it has some is no harm that the cure made; that it no longer trains is."""
    nan = "tensors that are not finite"
    units = {**UNITS, nan: "tensors"}
    was, now = [{SPAM: 20, nan: 9, LOOP: 0, STILL: 0}] * 2, [{SPAM: 0, nan: 0, LOOP: 8, STILL: 0}] * 2
    assert judge(effects(was, now, units))[0] == "proved"
    assert judge(effects(was, [{**each, STILL: 9} for each in now], units))[0] == "partly"
    left = [{**each, nan: 9} for each in now]
    assert judge(effects(was, left, units))[0] == "partly", "it still has none"


def test_a_lesser_harm_alone() -> None:
    was, now = [{SPAM: 500, LOOP: 40}] * 3, [{SPAM: 500, LOOP: 0}] * 3
    assert outcome(was, now) == "partly", "the worst harm stays, so it is not proved to be its cause"


def test_a_harm_that_comes_and_goes_by_itself_is_asked_of_last() -> None:
    was, now = [{SPAM: 0, STALE: 2}, {SPAM: 30, STALE: 2}], [{SPAM: 0, STALE: 0}, {SPAM: 30, STALE: 0}]
    assert judge(effects(was, now, UNITS))[0] == "proved"
    assert outcome(was, [{SPAM: 0, STALE: 2}, {SPAM: 0, STALE: 2}]) == "no-effect", "it went by itself"


def test_what_one_side_lacks_says_nothing() -> None:
    assert outcome([{SPAM: 500, LOOP: 3}] * 2, [{SPAM: 0}] * 2) == "proved"
    assert outcome([{LOOP: 3}] * 2, [{SPAM: 0}] * 2) == "impossible"
