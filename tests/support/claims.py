"""What detectors say of the programs and snapshots that their headers name.

The exact words are kept as golden files. Numbers may differ a little from machine to machine (`alike`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from forensics.judge import library

_NUMBER = re.compile(r"(?<![\w.:])-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w])")
FINDINGS = Path(__file__).parents[1] / "golden" / "findings"


@cache
def _detectors() -> library.Library:
    return library.load()


def named(key: str) -> dict[str, list[str]]:
    """Source (snapshots/NAME, zoo/NAME) to the detectors whose header names it.

    They name it under `fires on` or `silent on`.
    """
    found: dict[str, list[str]] = {}
    for detector in _detectors().detectors:
        for source in detector.names(key):
            found.setdefault(source, []).append(detector.name)
    return found


def path(source: str) -> Path:
    """The golden file of a source."""
    return FINDINGS / f"{source.replace('/', '-')}.txt"


def text(source: str, document: dict[str, Any]) -> str:
    """The findings that a source must give, as a reader gets them; `absent` where one is not there."""
    there = {finding["id"]: finding for finding in document["findings"]}
    return "\n".join(line for name in named("fires on")[source] for line in _lines(name, there.get(name)))


def alike(text: str, recorded: str) -> bool:
    """The same words, and numbers that are as near as those of one program on two machines.

    Training rounds otherwise on another processor: numbers may be off by a quarter or by 1, and what is
    less than a thousandth is rounding itself.
    """
    words, numbers = zip(*(_split(each) for each in (text, recorded)), strict=True)
    return words[0] == words[1] and all(map(_near, *numbers))


def _split(text: str) -> tuple[str, list[float]]:
    """The words with a mark for each number, and the numbers."""
    return _NUMBER.sub("#", text), [float(each.replace(",", "")) for each in _NUMBER.findall(text)]


def _near(a: float, b: float) -> bool:
    low, high = sorted((abs(a), abs(b)))
    return high < 1e-3 or (a * b >= 0 and (high <= 1.25 * low or (high - low <= 1 and low == int(low))))


def _lines(name: str, finding: dict[str, Any] | None) -> Iterator[str]:
    if finding is None:
        yield f"{name}: absent\n"
        return
    yield f"{name}: {finding['severity']}, {finding['confidence']}"
    for key in ("title", "claim", "fix", "where"):
        yield f"  {key}: {finding[key]}"
    shapes = set()  # of the rows that differ in numbers alone the first stands for all
    for row in finding["evidence"]:
        line = f"  evidence: {row['subject']} | {row['observed']} | {row['expected']}"
        if _split(line)[0] not in shapes:
            yield line
        shapes.add(_split(line)[0])
    yield ""


def silent(source: str, document: dict[str, Any]) -> list[str]:
    """Detectors that must be evaluated and clean on a source, and are not."""
    clean = {each["id"] for each in document["clean"]}
    return [name for name in named("silent on").get(source, []) if name not in clean]
