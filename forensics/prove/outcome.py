"""What a cure took away: pairs of repeats, as it was and cured, held against what repeats differ by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["proved", "partly", "no-effect", "impossible"]
LEFT = 0.1
"""The share of a harm that may be left where it is called gone: one answer in ten may be bad for a reason of
its own.
"""
TEXT = "tokens"
"""The unit of harms that are read off the text of answers."""
FEW = 2
"""Pairs below which nothing is called proved."""
NO_NUMBERS = "tensors that are not finite"
"""The harm of a model that has no answers of its own: what it says bad is seen where it is gone."""
UNHARMED = "what came out shows no harm that `forensics query harm` counts, so none can be seen to go"
"""Why no cure of a run without harm can be proved."""

COMES_AND_GOES = "come and go with the seed, so that none can be seen to go"
"""Why no cure of a run can be proved whose harm only some seeds show."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One harm in pairs of repeats: amounts as it was and cured, pair by pair."""

    what: str
    unit: str
    as_it_was: tuple[int, ...]
    cured: tuple[int, ...]

    @property
    def falls(self) -> bool:
        """Is less of the harm left, in every repeat?

        Every cured repeat must be below every one as it was, each pair by more than cured repeats
        differ by.

        How far repeats as they were differ is no measure of the cure: 32 to 93 tokens of spam that all become
        0 are gone.
        """
        return max(self.cured) < min(self.as_it_was) and all(
            was - now > _spread(self.cured) for was, now in self._pairs
        )

    @property
    def gone(self) -> bool:
        return self.falls and max(self.cured) <= LEFT * min(self.as_it_was)

    @property
    def grows(self) -> bool:
        return min(self.cured) > max(self.as_it_was) and all(
            now - was > _spread(self.as_it_was) for was, now in self._pairs
        )

    @property
    def _pairs(self) -> list[tuple[int, int]]:
        return list(zip(self.as_it_was, self.cured, strict=True))


def _spread(side: Sequence[int]) -> int:
    return max(side) - min(side)


def effects(
    as_it_was: Sequence[Mapping[str, int]], cured: Sequence[Mapping[str, int]], units: Mapping[str, str]
) -> list[Effect]:
    """The harms that either side shows in any pair, the worst first.

    Of a pair that lacks one side's number nothing is said.
    """
    found = []
    for what in dict.fromkeys(name for side in (*as_it_was, *cured) for name in side):
        pairs = [
            (w[what], c[what]) for w, c in zip(as_it_was, cured, strict=False) if what in w and what in c
        ]
        if pairs and len(pairs) == len(cured) and any(amount for pair in pairs for amount in pair):
            found.append(Effect(what, units.get(what, ""), *zip(*pairs, strict=True)))
    return found


def judge(found: Sequence[Effect]) -> tuple[Verdict, str]:
    """The outcome of a cure by its effects, the worst harm first, and why in a few words.

    A harm that comes and goes with the seed can be held against no cure: one that every run as it was shows
    is asked of before it, and where there is none, all that can be seen is that nothing changed.
    """
    harmed = [effect for effect in found if any(effect.as_it_was)]
    harmed.sort(key=lambda effect: not all(effect.as_it_was))
    if not harmed:
        return "impossible", UNHARMED
    worst = harmed[0]
    if not all(worst.as_it_was) and any(effect.as_it_was != effect.cured for effect in harmed):
        shown = sum(map(bool, worst.as_it_was))
        return (
            "impossible",
            f"{worst.what}: {COMES_AND_GOES} ({shown} of {len(worst.as_it_was)} runs as it was)",
        )
    grown = [effect for effect in found if effect.grows]
    # what the trained model says may be bad: where others' answers were harmed, that shows only now
    own = worst.unit == TEXT and not any(item.what == NO_NUMBERS and item.gone for item in harmed)
    worse = next((item for item in grown if item.unit != TEXT or own), None)
    beside = "".join(f"; more {item.what} now" for item in grown)
    pairs = len(worst.cured)
    if worst.gone and worse is None:
        if pairs < FEW:
            return "partly", f"{worst.what}: gone, but in {pairs} pair of runs alone"
        return "proved", f"{worst.what}: gone in each of {pairs} pairs of runs{beside}"
    if worst.gone and worse is not None:
        return "partly", f"{worst.what}: gone, and {worse.what} instead"
    if worst.falls:
        return "partly", f"{worst.what}: less in each pair, not gone"
    other = next((effect for effect in harmed[1:] if effect.gone), None)
    if other is not None:
        return "partly", f"{other.what}: gone; {worst.what}: not"
    return "no-effect", f"{worst.what}: no less than repeats differ by"
