"""Names in a statement replaced by values, by DuckDB's own tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Call = Callable[[str, str], str | None]

_WORD = re.compile(rb"\w*")
_CALL = re.compile(rb"(\w+)\(\s*(\w+)\s*\)")


def with_literals(text: str, values: Mapping[str, str], call: Call = lambda _name, _argument: None) -> str:
    """The statement with every name of `values`, where it stands alone, replaced by its SQL text.

    It is what a macro with these parameters would read, without being bound twice as a macro is. Columns of a
    table (`t.b`), functions, and what stands in quotes or in a comment stay. `call` is asked for every
    function of one of these names, `run_of(b)`: its text replaces the call, None leaves it.
    """
    from forensics.store.database import duckdb  # a tenth of a second, which a refused command need not wait

    data = text.encode()
    names = (duckdb.token_type.identifier, duckdb.token_type.keyword)  # `share` is a keyword, and a fine name
    pieces, done = [], 0
    for offset, kind in duckdb.tokenize(text):
        word = _WORD.match(data, offset)
        if word is None or kind not in names or offset < done or data[:offset].rstrip().endswith(b"."):
            continue
        end, value = _replaced(data, word, values, call)
        if value is not None:
            pieces += [data[done:offset], value.encode()]
            done = end
    return b"".join([*pieces, data[done:]]).decode()


def _replaced(
    data: bytes, word: re.Match[bytes], values: Mapping[str, str], call: Call
) -> tuple[int, str | None]:
    """Where a name, or the call that it begins, ends, and what stands in its place."""
    called = _CALL.match(data, word.start())
    if called is not None:
        argument = called[2].decode()
        return called.end(), call(called[1].decode(), argument) if argument in values else None
    if data[word.end() :].lstrip().startswith((b".", b"(")):
        return word.end(), None
    return word.end(), values.get(word[0].decode())


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def literal(value: object) -> str | None:
    """A value as SQL writes it, None for what is neither text, number nor truth."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    return quoted(value) if isinstance(value, str) else None
