"""What of a proof may leave the machine: numbers, ids and our own words; no line, path, output or patch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_WORDS = re.compile(r"[a-z][a-z ,]{0,120}")
_ID = re.compile(r"[a-z][a-z-]{0,60}")
_OUTCOMES = ("proved", "partly", "no-effect", "impossible")
AT_HOME = "why is kept where it was proved"


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
    return value if isinstance(value, int) and not isinstance(value, bool) else None
