"""Numbers on a page."""

from __future__ import annotations


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
