"""Numbers on a page."""

from __future__ import annotations

import json


def percent(share: float) -> str:
    """A share without decimals: 72 %, on one line."""
    return f"{100 * share:.0f}\u00a0%"


def four(value: float | None) -> str:
    """Four significant digits; nothing where nothing was measured."""
    return "" if value is None else f"{value:.4g}"


def short(value: object) -> str:
    """A number as people write it, all else as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def people(value: object) -> str:
    """A recorded value as people write it.

    A JSON list by its items, thousands apart, `none` where there is none.
    """
    if value is None:
        return "none"
    try:
        read = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return str(value)
    if isinstance(read, list):
        return ", ".join(people(item) for item in read) or "none"
    plain = isinstance(read, bool) or not isinstance(read, (int, float))
    return str(value) if plain else short(read)
