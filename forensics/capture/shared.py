"""What captures of live models and of models at rest say in the same words.

Settings, observed adapters, places, times.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from forensics.model.names import inside
from forensics.records import Row, Scalar


def observed(run: str, capture: str, modules: Sequence[Row], via: str) -> Iterator[Row]:
    """The row of `adapters` that says what a capture's modules hold; none where they hold no adapter.

    Rank, scale and dropout are those of most adapters; the modules have each its own.
    """
    held = [m for m in modules if m["kind"] in ("adapter", "dora")]
    if not held:
        return

    def usual(column: str) -> Scalar:
        common = Counter(m[column] for m in held if m[column] is not None).most_common(1)
        return common[0][0] if common else None

    yield {
        "run": run,
        "capture": capture,
        "origin": "observed",
        "via": via,
        "kind": "dora" if usual("kind") == "dora" else "lora",
        "rank": usual("rank"),
        "scale": usual("scale"),
        "alpha": None,
        "dropout": usual("dropout"),
        "num_layers": len({m["layer"] for m in held if m["layer"] is not None}),
        "keys": json.dumps(sorted({inside(str(m["canonical"]), m["layer"]) for m in held})),
        "modules": len(held),
        "strength": None,
        "place": None,
    }


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
