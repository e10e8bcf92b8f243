"""`queries/schema.sql` as data: its text, and each table's columns and types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

Columns = Mapping[str, str]
"""Column name to DuckDB type."""


@cache
def queries() -> Path:
    """The directory of our own queries: packaged, or the checkout's."""
    packaged = Path(__file__).parent / "_queries"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "queries"


@cache
def text() -> str:
    """The statements of schema.sql."""
    return (queries() / "schema.sql").read_text(encoding="utf-8")


@cache
def tables() -> Mapping[str, Columns]:
    """Table name to its columns, in the order of schema.sql."""
    found = {}
    bare = re.sub(r"--[^\n]*", "", text())
    for name, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\);", bare, flags=re.DOTALL):
        found[name] = dict(part.split()[:2] for part in body.split(",") if part.strip())
    return found


@cache
def marked(word: str) -> Mapping[str, frozenset[str]]:
    """Of each table the columns whose line's comment holds `word`: `private:` (text or ids of the user), `JSON`."""
    found = {}
    for name, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\);", text(), flags=re.DOTALL):
        lines = (line.partition("--") for line in body.splitlines())
        found[name] = frozenset(c for code, _, comment in lines if word in comment for c in re.findall(r"(\w+) [A-Z]+\b", code))
    return found
