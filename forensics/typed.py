"""Rows as lines of JSON, each value held to its column's type in queries/schema.sql."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from forensics.records import Row


def encode(row: Mapping[str, Any]) -> str:
    """One row as a JSON object."""
    plain = {k: _text(v) if isinstance(v, (dict, list, tuple)) else v for k, v in row.items()}
    try:
        return _dumps(plain)
    except ValueError:  # of NaN and infinity, which few rows hold
        return _dumps(
            {
                k: nonfinite(v) if isinstance(v, float) and not math.isfinite(v) else v
                for k, v in plain.items()
            }
        )


def plain(value: Any) -> Any:
    """A value of rows and dictionaries with nothing in it that JSON has not.

    Other types become their text.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else nonfinite(value)
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)


def lines(rows: Iterable[Row], columns: Mapping[str, str]) -> Iterator[str]:
    """Rows as lines of JSON, many of them in one text; each as `encode` has it, in less time."""
    left = iter(rows)
    while batch := [typed(row, columns) for row in islice(left, _BATCH)]:
        try:
            # an empty row has no border to be seen
            together = _BORDER.sub("}\n{", _dumps(batch)[1:-1]) if all(batch) else None
        except ValueError:  # of NaN and infinity
            together = None
        yield "\n".join(map(encode, batch)) if together is None else together


def typed(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The values of a row that fit these columns."""
    plain: dict[str, Any] = {}
    for key, value in row.items():
        if value is None or (kind := columns.get(key)) is None:
            continue
        actual = type(value)
        if _EXACT.get(actual) == kind or (
            actual is int and kind in _WHOLE and -_SAFE <= value < _SAFE
        ):  # nearly all, and there are millions
            plain[key] = value
        elif (fitting := _TYPES[kind](value)) is not None:
            plain[key] = fitting
    return plain


_BATCH = 500
_BORDER = re.compile(r'\},\{(?="\w)')
"""Between two rows. In a string a quotation mark has a backslash before it, or ends the string, and then no
letter follows.
"""
_dumps: Callable[[object], str] = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), default=str, allow_nan=False
).encode
_loose: Callable[[object], str] = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), default=str
).encode


def utf8(text: str) -> bytes:
    """Text for a table, which every reader takes.

    The bytes of names that are no UTF-8 are written %FF.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        return "".join(_byte(c) if "\ud800" <= c <= "\udfff" else c for c in text).encode()


def _byte(surrogate: str) -> str:
    number = ord(surrogate) - 0xDC00  # as `surrogateescape` decodes a byte
    return f"%{number:02X}" if 0x80 <= number <= 0xFF else "\ufffd"


def nonfinite(value: float) -> str:
    """NaN and infinity as the strings that our JSON has for them."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def whole(value: object) -> int:
    """A number of evidence as a whole one; 0 where it is none."""
    return int(value) if isinstance(value, (int, float)) else 0


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else _loose(value)


def _whole(bits: int) -> Callable[[Any], int | None]:
    limit = 1 << bits - 1

    def convert(value: Any) -> int | None:
        if isinstance(value, float):
            if not value.is_integer():
                return None
            value = int(value)
        return int(value) if isinstance(value, int) and -limit <= value < limit else None

    return convert


def _real(value: Any) -> Any:
    if isinstance(value, (int, float)):
        return float(value)
    return value if value in ("NaN", "Infinity", "-Infinity") else None


_EXACT: Mapping[type, str] = {str: "VARCHAR", float: "DOUBLE", bool: "BOOLEAN"}
_WHOLE = ("BIGINT", "INTEGER")
_SAFE = 1 << 31
"""Every whole number below it fits every column of whole numbers."""
_TYPES: Mapping[str, Callable[[Any], Any]] = {
    "VARCHAR": _text,
    "BIGINT": _whole(64),
    "INTEGER": _whole(32),
    "DOUBLE": _real,
    "BOOLEAN": lambda value: bool(value) if isinstance(value, (bool, int)) else None,
}
