"""Differences that were measured once, remembered by the digests that they are of.

They lie in the user's cache directory.

One file a comparison: two captures are compared again and again, and then all their pairs are the same.
Losing it costs a second reading, nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forensics import __version__, files
from forensics.records import Delta
from forensics.schema import tables
from forensics.typed import encode, typed

Pairs = Sequence[tuple[str, str]]
_VERSION = [2, __version__]
_MOST = 200  # comparisons of the cache; the oldest go
_DIGEST = re.compile(r"[0-9a-f]{64}")


def recall(pairs: Pairs) -> list[Delta] | None:
    """The differences of just these pairs, where they were measured before.

    Pairs without one could not be measured.
    """
    path = _path(pairs)
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [_delta(json.loads(line)) for line in lines[1:]] if json.loads(lines[0]) == _VERSION else None
    except (OSError, ValueError, IndexError, TypeError, AttributeError, KeyError):
        return None


def remember(pairs: Pairs, deltas: Sequence[Delta]) -> None:
    """Keep the differences of these pairs, where each was measured.

    A cache that cannot be written is no error.
    """
    path = _path(pairs)
    if path is None or len(deltas) != len(pairs):
        return
    columns = tables()["deltas"]
    lines = [
        json.dumps(_VERSION),
        *(encode(typed(d.row(), columns)) for d in deltas),
    ]
    files.remember(path, ("\n".join(lines) + "\n").encode(), _MOST)


def _path(pairs: Pairs) -> Path | None:
    """None where a pair is of no digests: marks of two files that lie side by side mean nothing later."""
    if not pairs or not all(_DIGEST.fullmatch(x) and _DIGEST.fullmatch(y) for x, y in pairs):
        return None
    name = hashlib.sha256("\n".join(f"{x} {y}" for x, y in sorted(pairs)).encode()).hexdigest()[:40]
    return files.cache_directory() / "deltas" / f"{name}.jsonl"


def _delta(row: dict[str, Any]) -> Delta:
    def number(name: str) -> float | None:
        value = row.get(name)
        return None if value is None else float(value)  # "NaN" and "Infinity" are numbers to float

    return Delta(
        str(row["digest_a"]),
        str(row["digest_b"]),
        number("max_abs"),
        number("l2"),
        number("relative"),
        number("cosine"),
        number("changed_fraction"),
    )
