"""What a proof says of findings.

The cause that was taken away and took the harm with it stands first, with what went away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from forensics.records import Finding
from forensics.units import counted

Document = Mapping[str, Any]
"""The document of `prove --json`."""


def with_proof(finding: Finding, document: Document | None) -> Finding:
    """The finding with what its own cure did; one whose cure was proved has confidence `proved`.

    What who sent a bundle says of it is told as theirs, and makes nobody surer.
    """
    cure = next((each for each in (document or {}).get("cures", ()) if each.get("ids") == [finding.id]), None)
    if cure is None:
        return finding
    if (document or {}).get("claimed"):
        return replace(finding, proof=claim(cure))
    return replace(
        finding,
        proof=effect(cure),
        confidence="proved" if cure.get("outcome") == "proved" else finding.confidence,
    )


_CLAIMED = {
    "proved": "proved",
    "partly": "partly proved",
    "no-effect": "found not to be it",
    "impossible": "not proved",
}


def claim(cure: Mapping[str, Any]) -> str:
    """One sentence on a cure that was tried elsewhere."""
    outcome = str(cure["outcome"])
    said = "" if outcome == "impossible" else f": {_sentence(cure)}"
    return f"{_CLAIMED[outcome]} by who sent it, not run here{said}"


def effect(cure: Mapping[str, Any]) -> str:
    """One sentence: the worst harm as it was and cured, and what that says."""
    outcome, harms = cure["outcome"], [quantity for quantity in cure["harm"] if any(quantity["as_it_was"])]
    if outcome == "impossible" or not harms:
        return str(cure["why"])
    sentence = _sentence(cure)
    if outcome == "no-effect":
        return f"{sentence}; whatever else it does, it is not what makes this"
    return sentence if outcome == "proved" else f"{sentence}; {_rest(cure)}"


def _rest(cure: Mapping[str, Any]) -> str:
    """What `why` says beyond the worst harm, of which the sentence has told."""
    worst = worst_of(cure["harm"])
    name = "" if worst is None else str(worst["what"])
    return str(cure["why"]).removeprefix(f"{name}: ").removesuffix(f"; {name}: not")


def worst_of(harms: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The harm that is spoken of: the worst that every run as it was shows, else the worst that one shows."""
    shown = [harm for harm in harms if any(harm["as_it_was"])]
    return min(shown, key=lambda harm: not all(harm["as_it_was"]), default=None)


def _sentence(cure: Mapping[str, Any]) -> str:
    """The worst harm as it was and cured."""
    worst = worst_of(cure["harm"])
    if worst is None:
        return "no harm was counted"
    was, now = _range(worst["as_it_was"][: len(worst["cured"])]), _range(worst["cured"])
    pairs = counted(len(worst["cured"]), "pair") + " of runs"
    them = "them" if len(cure["ids"]) > 1 else "it"
    return f"{worst['what']}: {was} as it was, {now} without {them} ({pairs}, seeds shifted alike)"


def _range(amounts: Sequence[int]) -> str:
    low, high = min(amounts), max(amounts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
