"""Lines of the user's program that recorded places name: their text, as it was when the run was sealed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from forensics.records import Row

_LONGEST = 200  # characters of a line
_LARGEST = 4_000_000  # bytes of a file of source
_CONFIGURATIONS = (".yaml", ".yml", ".json")
_KEY = re.compile(r"""^(?P<indent>[ ]*)["']?(?P<key>[A-Za-z_][\w.-]*)["']?[ ]*:(?=[ ]|$)""")


def texts(
    tables: Iterable[Iterable[Row]],
    directory: str | None,
    started: float,
    cells: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> str:
    """JSON: each place (`file:line`) of these rows to the text of its line.

    Places whose file changed since the run began are left out.

    `directory` is that of the run, from which places are seen; `started` in seconds since the epoch; `cells`
    is the code of a notebook's cells by name, which lies in no file; `settings` are the places of settings.
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
    return json.dumps(texts | dict(settings or {}), ensure_ascii=False)


def of_settings(argv: Sequence[str], directory: str | None, started: float) -> dict[str, str]:
    """Where settings of a command stand, to the text: `--learning-rate`, or `lora.yaml:12 learning_rate`.

    Keys of a configuration file that a word of the command names are dotted, in their order.
    """
    places: dict[str, str] = {}
    for word, following in zip(argv, [*argv[1:], ""], strict=False):
        flag, given, value = word.partition("=")
        if re.fullmatch(r"--[A-Za-z][\w-]*", flag):
            places[flag] = word if given or following.startswith("-") else f"{flag} {following}".strip()
        name = value if given else word
        if name.endswith(_CONFIGURATIONS):
            places |= dict(_keys(name, _lines(Path(directory or "") / name, started)))
    return places


def _keys(name: str, lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each key that begins a line, as `file:line dotted.key`, and the text of its line."""
    above: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        if found := _KEY.match(line):
            indent = len(found["indent"])
            above = [(at, key) for at, key in above if at < indent]
            dotted = ".".join([*(key for _, key in above), found["key"]])
            above.append((indent, found["key"]))
            yield f"{name}:{number} {dotted}", line.strip()[:_LONGEST]


def _lines(path: Path, started: float) -> list[str]:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST or path.stat().st_mtime > started:
            return []
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, ValueError):
        return []
