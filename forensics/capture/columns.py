"""Settings and places of source, as all tables have them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from forensics.records import Row


def config(capture: str, kind: str, key: str, value: Any) -> Row:
    """One row of `configs`."""
    return {
        "capture": capture,
        "kind": kind,
        "key": key,
        "value": json.dumps(value, ensure_ascii=False, default=str),
    }


def place(where: Any, cwd: str | None) -> str | None:
    """file:line as short as it is unambiguous.

    Of a library from its package on, else seen from the run's directory, else whole.
    """
    if not isinstance(where, str):
        return None
    file, colon, line = where.rpartition(":") if where.rpartition(":")[2].isdigit() else (where, "", "")
    library = file.rpartition("/site-packages/")[2] if "/site-packages/" in file else ""
    if library:
        return f"{library}{colon}{line}"
    if not cwd or not Path(file).is_absolute():
        return where
    near = min((os.path.relpath(path, cwd) for path in (file, os.path.realpath(file))), key=len)
    return f"{near}{colon}{line}" if len(near) < len(file) else where
