"""Names in a statement replaced by values, by DuckDB's own tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping


def with_literals(text: str, values: Mapping[str, str]) -> str:
    """The statement with every name of `values`, where it stands alone, replaced by its SQL text.

    It is what a macro with these parameters would read, without being bound twice as a macro is. Columns of a
    table (`t.b`), functions, and what stands in quotes or in a comment stay.
    """
    from forensics.store.database import duckdb  # a tenth of a second, which a refused command need not wait

    data = text.encode()
    names = (duckdb.token_type.identifier, duckdb.token_type.keyword)  # `share` is a keyword, and a fine name
    words = re.compile(rb"\w*")
    pieces, done = [], 0
    for offset, kind in duckdb.tokenize(text):
        word = words.match(data, offset)
        value = values.get(word[0].decode()) if word and kind in names else None
        if word is None or value is None:
            continue
        before, after = data[:offset].rstrip(), data[word.end() :].lstrip()
        if not before.endswith(b".") and not after.startswith((b".", b"(")):
            pieces += [data[done:offset], value.encode()]
            done = word.end()
    return b"".join([*pieces, data[done:]]).decode()


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
