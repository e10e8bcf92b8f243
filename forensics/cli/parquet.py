"""Answers as a Parquet file, with the types that DuckDB gave them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

_PLAIN = re.compile(
    r"(U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE|BOOLEAN|VARCHAR|DATE|TIMESTAMP|DECIMAL\(\d+,\d+\))(\[\])*"
)


def write(path: Path, columns: Sequence[str], types: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write rows; how many there were.

    A column of another type than numbers, texts, times and lists of them becomes text.

    Raises:
        UsageError: the file cannot be written.
    """
    from forensics.cli.output import output
    from forensics.files import temporary
    from forensics.store.loader import open_session

    names = [name if columns[:n].count(name) == 0 else f"{name}_{n + 1}" for n, name in enumerate(columns)]
    kinds = [kind if _PLAIN.fullmatch(kind) else "VARCHAR" for kind in types]
    count = 0
    with output(path, "The Parquet file", "--parquet") as target, temporary("parquet") as place:
        with (place / "rows.jsonl").open("w", encoding="ascii") as file:
            for row in rows:
                count += 1
                cells = (_cell(value, kind) for value, kind in zip(row, kinds, strict=True))
                file.write(json.dumps(dict(zip(names, cells, strict=True))) + "\n")
        typed = ", ".join(
            f"{_quoted(name)}: {_quoted(kind)}" for name, kind in zip(names, kinds, strict=True)
        )
        source = (
            f"read_json({_quoted(str(place / 'rows.jsonl'))},"
            f" format = 'newline_delimited', columns = {{{typed}}})"
        )
        database = place / "made.parquet"
        copy = f"COPY (SELECT * FROM {source}) TO {_quoted(str(database))} (FORMAT parquet)"
        open_session([], []).script(copy)
        shutil.copyfile(database, target)
    return count


def _cell(value: Any, kind: str) -> Any:
    """NaN and infinity as the texts that DuckDB reads as such; what is no plain value, as JSON."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if isinstance(value, list) and kind.endswith("[]"):
        return [_cell(item, kind[:-2]) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return json.dumps(value, default=str)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
