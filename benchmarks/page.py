"""Pages of docs/ whose table a benchmark makes: what stands above the mark is written by hand."""

from __future__ import annotations

from pathlib import Path

MEASURED = "<!-- measured -->"


def above(page: Path) -> str:
    """The words by hand with the mark, which a page that is not there yet begins with."""
    words = page.read_text(encoding="utf-8").partition(MEASURED)[0] if page.is_file() else ""
    return words + MEASURED
