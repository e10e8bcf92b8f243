"""What of a proof may leave the machine: numbers, ids and our own words; no line, path, output or patch.

What comes in is held to the same form, and stays a claim of who sent it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

_WORDS = re.compile(r"[a-z][a-z ,]{0,120}")
_ID = re.compile(r"[a-z][a-z-]{0,60}")
_OUTCOMES = ("proved", "partly", "no-effect", "impossible")
AT_HOME = "why is kept where it was proved"
MAX = 4 << 20
"""Bytes of the member that holds proofs."""
_MOST = 1_000  # cures of one proof, harms of one cure, amounts of one harm
_LARGEST = 1 << 53


def sent(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document of `prove --json` without what a program or a person wrote."""
    cures = [_cure(cure) for cure in document.get("cures", ()) if cure.get("outcome") in _OUTCOMES]
    return {
        "schema": 1,
        "run": document.get("run"),
        "repeats": _number(document.get("repeats")) or 0,
        "steps": _number(document.get("steps")),
        "repeatable": bool(document.get("repeatable")),
        "agreement": "",
        "harm": [item for item in map(_harm, document.get("harm", ())) if item],
        "cures": [cure for cure in cures if cure["ids"]],
        "patch": "",
    }


def received(value: Any, runs: Collection[str]) -> dict[str, dict[str, Any]]:
    """The proofs of a stranger's bundle by run, marked as claimed.

    Args:
        value: the parsed member; runs: those of the bundle.

    Raises:
        ValueError: it is not what `sent` makes of a proof.
    """
    try:
        if value["schema"] != 1 or not set(value["runs"]) <= set(runs):
            raise ValueError("it names runs that are not in the bundle")
        claims = {run: sent(document) for run, document in value["runs"].items()}
        for run, claim in claims.items():
            if claim != value["runs"][run] or claim["run"] != run or not _sound(claim):
                raise ValueError("it is no document of ours")
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("it has another form than ours") from error
    return {run: {**claim, "claimed": True} for run, claim in claims.items()}


def _sound(claim: Mapping[str, Any]) -> bool:
    """Are there amounts on both sides of each cure, and no more of anything than a proof has?"""
    harms = [harm for cure in claim["cures"] for harm in cure["harm"]]
    lists = [claim["cures"], claim["harm"], *(cure["harm"] for cure in claim["cures"])]
    amounts = [harm[side] for harm in harms for side in ("as_it_was", "cured")]
    lists += [*amounts, *(harm["as_it_was"] for harm in claim["harm"])]
    lists += [cure["ids"] for cure in claim["cures"]]
    return all(len(each) <= _MOST for each in lists) and all(
        side and all(n is not None and n >= 0 for n in side) for side in amounts
    )


def _cure(cure: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "ids": [
            finding_id
            for finding_id in cure.get("ids", ())
            if isinstance(finding_id, str) and _ID.fullmatch(finding_id)
        ],
        "outcome": cure["outcome"],
        "harm": [item for item in map(_harm, cure.get("harm", ())) if item],
        "also_changed": [],
        "why": AT_HOME,
        "did": {},
    }


def _harm(harm: Mapping[str, Any]) -> dict[str, Any]:
    """Amounts of one harm; empty where its name is none of ours."""
    words = [harm.get(key) for key in ("what", "unit")]
    if not all(isinstance(word, str) and _WORDS.fullmatch(word) for word in words):
        return {}
    amounts = {
        key: [_number(item) for item in harm[key]]
        for key in ("as_it_was", "cured")
        if isinstance(harm.get(key), list)
    }
    recorded = {"as_recorded": _number(harm["as_recorded"])} if "as_recorded" in harm else {}
    return {"what": words[0], "unit": words[1], **recorded, **amounts}


def _number(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= _LARGEST:
        return None
    return value
