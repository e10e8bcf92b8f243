"""Lines of the user's program that recorded places name: their text, as it was when the run was sealed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from forensics.records import Row

_LONGEST = 200  # characters of a line
_LARGEST = 4_000_000  # bytes of a file of source


def texts(
    tables: Iterable[Iterable[Row]],
    directory: str | None,
    started: float,
    cells: Mapping[str, str] | None = None,
) -> str:
    """JSON: each place (`file:line`) of these rows to the text of its line.

    Places whose file changed since the run began are left out.

    `directory` is that of the run, from which places are seen; `started` in seconds since the epoch; `cells`
    is the code of a notebook's cells by name, which lies in no file.
    """
    places = sorted({str(row["place"]) for rows in tables for row in rows if row.get("place")})
    files = {cell: text.splitlines() for cell, text in (cells or {}).items()}
    texts: dict[str, str] = {}
    for place in places:
        name, _, number = place.rpartition(":")
        if not name or not number.isdigit():
            continue
        if name not in files:
            files[name] = _lines(Path(directory or "") / name, started)
        line = files[name][int(number) - 1].strip() if 0 < int(number) <= len(files[name]) else ""
        if line:
            texts[place] = line[:_LONGEST]
    return json.dumps(texts, ensure_ascii=False)


def _lines(path: Path, started: float) -> list[str]:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST or path.stat().st_mtime > started:
            return []
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, ValueError):
        return []
