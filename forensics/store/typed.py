"""Rows as lines of JSON, each value held to its column's type in queries/schema.sql."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any


def encode(row: Mapping[str, Any], columns: Mapping[str, str] | None) -> str:
    """One row as a JSON object, without its NULLs. `columns` types it; None takes it as it is."""
    plain = (
        typed(row, columns) if columns is not None else {k: _text(v) if isinstance(v, (dict, list, tuple)) else v for k, v in row.items()}
    )
    for key, value in plain.items():
        if isinstance(value, float) and not math.isfinite(value):
            plain[key] = nonfinite(value)
    return _dumps(plain)


def typed(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """The values of a row that fit these columns."""
    plain: dict[str, Any] = {}
    for key, value in row.items():
        if value is None or (kind := columns.get(key)) is None:
            continue
        if type(value) is _EXACT.get(kind):  # nearly all are, and there are millions
            plain[key] = value
        elif (fitting := _TYPES[kind](value)) is not None:
            plain[key] = fitting
    return plain


_dumps: Callable[[object], str] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


def nonfinite(value: float) -> str:
    """NaN and infinity as the strings that our JSON has for them."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else _dumps(value)


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


_EXACT = {"VARCHAR": str, "DOUBLE": float, "BOOLEAN": bool}
_TYPES: Mapping[str, Callable[[Any], Any]] = {
    "VARCHAR": _text,
    "BIGINT": _whole(64),
    "INTEGER": _whole(32),
    "DOUBLE": _real,
    "BOOLEAN": lambda value: bool(value) if isinstance(value, (bool, int)) else None,
}
