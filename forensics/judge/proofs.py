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
    """The finding with what its own cure did; one whose cure was proved has confidence `proved`."""
    cure = next((each for each in (document or {}).get("cures", ()) if each.get("ids") == [finding.id]), None)
    if cure is None:
        return finding
    return replace(
        finding,
        proof=effect(cure),
        confidence="proved" if cure.get("outcome") == "proved" else finding.confidence,
    )


def effect(cure: Mapping[str, Any]) -> str:
    """One sentence: the worst harm as it was and cured, and what that says."""
    outcome, harms = cure["outcome"], [quantity for quantity in cure["harm"] if any(quantity["as_it_was"])]
    if outcome == "impossible" or not harms:
        return str(cure["why"])
    worst = harms[0]
    was, now = _range(worst["as_it_was"][: len(worst["cured"])]), _range(worst["cured"])
    pairs = counted(len(worst["cured"]), "pair") + " of runs"
    sentence = f"{worst['what']}: {was} as it was, {now} without it ({pairs}, seeds shifted alike)"
    if outcome == "no-effect":
        return f"{sentence}; whatever else it does, it is not what makes this"
    return sentence if outcome == "proved" else f"{sentence}; {cure['why']}"


def _range(amounts: Sequence[int]) -> str:
    low, high = min(amounts), max(amounts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
