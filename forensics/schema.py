"""`queries/schema.sql` as data: its text, and each table's columns and types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

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
    tables = {}
    bare = re.sub(r"--[^\n]*", "", text())
    for name, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\);", bare, flags=re.DOTALL):
        tables[name] = dict(part.split()[:2] for part in body.split(",") if part.strip())
    return tables


class Column(NamedTuple):
    """A column of a table, with what its line in schema.sql says of it."""

    name: str
    type: str
    meaning: str


class Table(NamedTuple):
    """A table of schema.sql, with the comment above it."""

    name: str
    meaning: str
    columns: tuple[Column, ...]


@cache
def described() -> Mapping[str, Table]:
    """All tables with their comments, in the order of schema.sql.

    A comment that goes on in the next line is one text.
    """
    tables = {}
    for above, name, body in re.findall(
        r"((?:^--[^\n]*\n)*)^CREATE TABLE (\w+) \((.*?)\n\);", text(), flags=re.DOTALL | re.MULTILINE
    ):
        columns: list[Column] = []
        for line in body.strip().splitlines():
            code, _, comment = line.partition("--")
            names = re.findall(r"(\w+) ([A-Z]+(?:\[\])?)", code)
            columns += [Column(column, kind, comment.strip()) for column, kind in names]
            if not names and columns:
                columns[-1] = columns[-1]._replace(meaning=f"{columns[-1].meaning} {comment.strip()}".strip())
        meaning = " ".join(line.removeprefix("--").strip() for line in above.splitlines())
        tables[name] = Table(name, meaning, tuple(columns))
    return tables


@cache
def marked(word: str) -> Mapping[str, frozenset[str]]:
    """Of each table the columns whose line's comment holds `word`.

    Such words are `private:` (text or ids of the user) and `JSON`.
    """
    columns = {}
    for name, body in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\);", text(), flags=re.DOTALL):
        lines = (line.partition("--") for line in body.splitlines())
        columns[name] = frozenset(
            c for code, _, comment in lines if word in comment for c in re.findall(r"(\w+) [A-Z]+\b", code)
        )
    return columns
