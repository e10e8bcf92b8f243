"""A proof as a picture: the worst harm as recorded, as it was, and with causes taken away.

Each cause is taken away alone, then all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from markupsafe import Markup

from forensics.judge.proofs import worst_of
from forensics.report.html.render import macros

WORDS = {"proved": "proved", "partly": "partly", "no-effect": "not it", "impossible": "unproved"}


class Bar(NamedTuple):
    """One line of the picture: amounts of several runs, as shares of the largest that there is."""

    name: str
    word: str
    amounts: tuple[int, ...]
    shares: tuple[float, ...]
    why: str


def proof(document: Mapping[str, Any]) -> Markup:
    """The picture of the document of `prove`, with what each cure says under it."""
    counted = (quantity for quantity in document.get("harm", ()) if None not in quantity["as_it_was"])
    worst = worst_of(list(counted))
    bars = list(_bars(document, worst)) if worst else []
    agrees = "repeats as recorded" if document.get("repeatable") else "does not repeat as recorded"
    return Markup(
        macros("proving").proof(
            worst and worst["what"],
            bars,
            list(_unproved(document)),
            agrees,
            document.get("agreement") or "",
            bool(document.get("claimed")),
        )
    )


def _bars(document: Mapping[str, Any], worst: Mapping[str, Any]) -> Iterator[Bar]:
    cures = {" + ".join(each["ids"]): (each, _cured(each, worst["what"])) for each in document["cures"]}
    recorded = [worst["as_recorded"]] if worst.get("as_recorded") is not None else []
    most = max([1, *recorded, *worst["as_it_was"], *(n for _, amounts in cures.values() for n in amounts)])

    def bar(name: str, word: str, amounts: list[int], why: str = "") -> Bar:
        return Bar(name, word, tuple(amounts), tuple(100 * amount / most for amount in amounts), why)

    if recorded:
        yield bar("as recorded", "", recorded)
    yield bar("as it was", "", worst["as_it_was"])
    for name, (cure, amounts) in cures.items():
        if amounts:
            yield bar(f"without {name}", WORDS[cure["outcome"]], amounts, cure["why"])


def _cured(cure: Mapping[str, Any], what: str) -> list[int]:
    return next((list(quantity["cured"]) for quantity in cure["harm"] if quantity["what"] == what), [])


def _unproved(document: Mapping[str, Any]) -> Iterator[str]:
    for cure in document["cures"]:
        if cure["outcome"] == "impossible":
            yield f"{' + '.join(cure['ids'])}: {cure['why']}"
