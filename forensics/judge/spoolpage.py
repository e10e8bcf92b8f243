"""Makes docs/spool.md: what a watched process leaves, file by file.

Its sources are `watch/protocol.py` and `watch/events.py`.

`pytest --update-golden tests/house/test_docs.py` writes it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from forensics import schema
from forensics.watch import captured, events, protocol

_FIELD = re.compile(r"^    (\w+): ([^#\n]+?)(?:  # (.*))?$", re.M)


class Field(NamedTuple):
    """A column of a row: its type as Python writes it, whether it may be absent, and what it means."""

    name: str
    type: str
    absent: bool
    meaning: str


def fields(row: type) -> list[Field]:
    """The columns of a row, in the order of its class; `class`, which no class body can name, comes first."""
    fields = [Field("class", "str | None", False, "")] if "class" in row.__annotations__ else []
    for name, kind, meaning in _FIELD.findall(inspect.getsource(row)):
        absent = kind.startswith("NotRequired[")
        plain = kind.removeprefix("NotRequired[").removesuffix("]") if absent else kind
        fields.append(Field(name, plain, absent, meaning))
    return fields


def page() -> str:
    """The whole page."""
    lines = [
        "# The spool",
        "",
        (
            "What a watched process leaves, before the tool seals it as captures. Made from"
            " `forensics/watch/protocol.py` and"
        ),
        (
            "`forensics/watch/events.py`, by which both sides are checked. A row is one line of JSON."
            " What is not said of a column"
        ),
        "here is said in [`queries/schema.sql`](../queries/schema.sql), under the same table and name.",
        "",
        "| file | what |",
        "| --- | --- |",
        *(f"| `{name}` | {what} |" for name, what in protocol.FILES.items()),
        "",
        (
            "A tensor's digest is the sha256, in hex, over its dtype as safetensors writes it,"
            " a zero byte, its shape as decimals"
        ),
        "joined by `x`, a zero byte, and its raw little-endian row-major bytes.",
    ]
    objects = {
        protocol.OPTIONS: protocol.Options,
        protocol.PROCESS: protocol.Process,
        protocol.PLAN: protocol.Plan,
        protocol.EXIT: protocol.Exit,
    }
    nested = {
        "a prompt": protocol.Prompt,
        "a tokenizer": captured.Tokenizer,
        "a frame": captured.Frame,
        "a quantization": captured.Quantization,
    }
    lines += _part("Files of one object", objects)
    lines += _part("Tables of a process", protocol.TABLES)
    lines += _part("Tables of a capture", captured.TABLES)
    lines += _part("What stands inside of them", nested)
    lines += _part("Events: `detail` by kind", events.EVENTS)
    return "\n".join(lines) + "\n"


def _part(title: str, rows: Mapping[str, type]) -> Iterator[str]:
    yield from ("", f"## {title}")
    for name, row in rows.items():
        yield from (
            "",
            f"### {name}",
            "",
            str(inspect.getdoc(row)),
            "",
            "| column | type | what |",
            "| --- | --- | --- |",
        )
        known = (
            {c.name: c.meaning for c in schema.described()[name].columns}
            if name in schema.described()
            else {}
        )
        for field in fields(row):
            kind = field.type.replace("|", "\\|") + (", or absent" if field.absent else "")
            meaning = (
                (field.meaning or known.get(field.name, "")).removeprefix("private: ").replace("|", "\\|")
            )
            yield f"| `{field.name}` | {kind} | {meaning} |"
