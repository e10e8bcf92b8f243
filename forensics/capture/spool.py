"""What a watched run left behind: one directory a process, JSON lines, and tensors by digest.

The program may have died at any byte, so a last line that is cut off is dropped, and a capture counts only
where its line in captures.jsonl is there. The form is `watch.protocol`, written down in docs/spool.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from forensics.records import Row
from forensics.watch import protocol


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON lines file.

    Lines that are cut off or no object are left out, a missing file is empty.
    """
    return list(lines(path))


def _renamed(row: dict[str, Any], moves: list[dict[str, Any]]) -> dict[str, Any]:
    """A row about a saved file, with the name that the file has now.

    Programs write under a temporary name and rename.
    """
    if row.get("kind", "save") != "save":
        return row
    place = row["detail"] if "kind" in row and isinstance(row.get("detail"), dict) else row
    path = now = place.get("path")
    for move in moves:
        before = str(move.get("before"))
        if (
            isinstance(now, str)
            and move.get("time", 0) >= row.get("time", 0)
            and f"{now}{os.sep}".startswith(before + os.sep)
        ):
            now = str(move["after"]) + now[len(before) :]
    if now == path:
        return row
    if place is not row:
        return {**row, "detail": {**place, "path": now}}
    return {**row, "path": now, "file": Path(str(now)).name}


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """As `read_lines`, one after the other, for files that may be long."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(value, dict):
                    yield value
    except OSError:
        return


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where it is missing or broken."""
    try:
        value = json.loads(path.read_text(encoding="utf-8", errors="surrogateescape"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _named(row: Mapping[str, Any]) -> dict[str, str]:
    """The kind of what is missing and the table that it is of, where the watcher says them."""
    return {key: str(row[key]) for key in ("kind", "table") if row.get(key)}


@dataclass(frozen=True)
class Captured:
    """One capture of one live model, as the watcher wrote it."""

    process: int
    number: int
    head: protocol.Capture
    directory: Path

    @property
    def key(self) -> tuple[int, int]:
        return self.process, self.number

    @property
    def time(self) -> float:
        return float(self.head.get("time") or 0.0)

    @property
    def model(self) -> str:
        return str(self.head.get("model") or "m0")

    @property
    def point(self) -> str:
        return str(self.head.get("point") or "loaded")

    @property
    def whole(self) -> bool:
        return bool(self.head.get("whole", True))

    @property
    def tensors_file(self) -> Path:
        return self.directory / protocol.TENSORS

    @property
    def logits_file(self) -> Path:
        return self.directory / protocol.LOGITS

    def rows(self, table: str) -> list[dict[str, Any]]:
        return read_lines(self.directory / f"{table}.jsonl")


@dataclass(frozen=True)
class Process:
    """One process of the run that touched mlx."""

    number: int
    directory: Path

    @cached_property
    def facts(self) -> protocol.Process:
        """Empty where the process was killed before it could write them."""
        return cast(protocol.Process, read_object(self.directory / protocol.PROCESS))

    @cached_property
    def exit(self) -> protocol.Exit:
        """Empty where the process was killed before it could say how it ended."""
        return cast(protocol.Exit, read_object(self.directory / protocol.EXIT))

    def rows(self, table: str) -> list[dict[str, Any]]:
        return read_lines(self.directory / f"{table}.jsonl")

    def cut(self) -> Iterator[str]:
        """The tables whose last row was not written to its end."""
        for path in sorted(self.directory.glob("*.jsonl")):
            with path.open("rb") as file:
                if file.seek(0, os.SEEK_END):
                    file.seek(-1, os.SEEK_END)
                    if file.read() != b"\n":
                        yield path.stem

    def captures(self) -> Iterator[Captured]:
        for head in self.rows("captures"):
            number = head.get("number")
            if isinstance(number, int):
                yield Captured(
                    self.number, number, cast(protocol.Capture, head), self.directory / f"c{number}"
                )


class Spool:
    """All processes of one run, in order of first sight."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.options = cast(protocol.Options, read_object(path / protocol.OPTIONS))
        numbers = sorted(int(p.name[1:]) for p in path.glob("p*") if p.is_dir() and p.name[1:].isdigit())
        self.processes = [Process(n, path / f"p{n}") for n in numbers]

    @property
    def run(self) -> str:
        return str(self.options.get("run") or self.path.name)

    @cached_property
    def captures(self) -> list[Captured]:
        """All captures of all processes, in time order."""
        return sorted(
            (c for p in self.processes for c in p.captures()), key=lambda c: (c.time, c.process, c.number)
        )

    def table(self, name: str) -> list[Row]:
        """The rows of a run-level table over all processes, with `run` and `process` filled in."""
        return list(self.rows(name))

    def rows(self, name: str) -> Iterator[Row]:
        """As `table`, one row after the other."""
        for p in self.processes:
            moves = lines(p.directory / "moves.jsonl") if name in ("saved_tensors", "events") else ()
            renamed = [move for move in moves if not Path(str(move.get("before"))).exists()]
            for row in lines(p.directory / f"{name}.jsonl"):
                yield cast(
                    Row,
                    {"run": self.run, "process": p.number, **(_renamed(row, renamed) if renamed else row)},
                )

    def latest(self, name: str, *keys: str) -> list[Row]:
        """As `table`, where a row is written again whenever it changes: the last of each key."""
        last = {(r["process"], *(r.get(k) for k in keys)): r for r in self.table(name)}
        return list(last.values())

    def missing(self) -> list[dict[str, str]]:
        """What could not be recorded, and why.

        What the watcher noted, and tables of a process that lived on whose last row is cut off.
        """
        rows = (r for p in self.processes for r in p.rows("missing"))
        gaps = [{"what": str(r.get("what")), "why": str(r.get("why")), **_named(r)} for r in rows]
        noted = {gap.get("table") for gap in gaps}
        cut = dict.fromkeys(
            table for p in self.processes if p.exit for table in p.cut() if table not in noted
        )
        return gaps + [
            {"what": f"rows of {t}", "why": "the last one is cut off", "kind": "rows", "table": t}
            for t in cut
        ]
