"""Names in a statement replaced by values, by DuckDB's own tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Call = Callable[[str, str], str | None]

_NAME = re.compile(rb"(?P<name>\w+)(?:\(\s*(?P<argument>\w+)\s*\)|(?P<after>\s*[.(]))?")


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
        if kind not in names or offset < done:
            continue
        end, value = _replaced(data, offset, values, call)
        if value is not None:
            pieces += [data[done:offset], value.encode()]
            done = end
    return b"".join([*pieces, data[done:]]).decode()


def _replaced(data: bytes, offset: int, values: Mapping[str, str], call: Call) -> tuple[int, str | None]:
    """Where a name, or the call that it begins, ends, and what stands in its place."""
    found = _NAME.match(data, offset)
    if found is None:
        return offset, None
    name, argument, after = found["name"].decode(), found["argument"], found["after"]
    value = values.get(name)
    if argument is not None:
        value = call(name, argument.decode()) if argument.decode() in values else None
    elif after:
        value = None
    if value is None or data[:offset].rstrip().endswith(b"."):
        return offset, None
    return found.end() if argument is not None else found.end("name"), value


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
