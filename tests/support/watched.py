"""Run a program under the watcher alone, without the command, and read what it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forensics.judge.spoolpage import fields
from forensics.watch import captured, events, protocol

SITE = Path(__file__).parents[2] / "forensics" / "watch" / "site"


@dataclass
class Ran:
    """A finished program and its spool."""

    status: int
    stdout: str
    stderr: str
    spool: Path

    @property
    def processes(self) -> list[Path]:
        return sorted(self.spool.glob("p*"), key=lambda path: int(path.name[1:]))

    def rows(self, table: str, process: int = 0) -> list[dict[str, Any]]:
        """The rows that one process wrote into a table, [] where it wrote none."""
        path = self.spool / f"p{process}" / f"{table}.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def points(self, process: int = 0) -> list[str]:
        return [row["point"] for row in self.rows("captures", process)]

    def capture(self, point: str, process: int = 0) -> dict[str, Any]:
        """The last capture of a point."""
        return [row for row in self.rows("captures", process) if row["point"] == point][-1]

    def of(self, point: str, table: str, process: int = 0) -> list[dict[str, Any]]:
        """The rows of one table of the last capture of a point."""
        return self.rows(f"c{self.capture(point, process)['number']}/{table}", process)

    def digests(self, point: str) -> dict[str, str]:
        return {row["name"]: row["digest"] for row in self.of(point, "placements")}

    def events(self, kind: str, process: int = 0) -> list[dict[str, Any]]:
        return [row for row in self.rows("events", process) if row["kind"] == kind]


def run(
    directory: Path,
    program: str,
    *arguments: str,
    watch: bool = True,
    options: dict[str, Any] | None = None,
    env: dict[str, str] | None = None,
) -> Ran:
    """Write `program` into `directory`, or take it as `-m module`, and run it there, watched or plain."""
    directory.mkdir(parents=True, exist_ok=True)
    if program.startswith("-m "):
        command = [sys.executable, "-m", program[3:], *arguments]
    else:
        (directory / "program.py").write_text(textwrap.dedent(program))
        command = [sys.executable, "program.py", *arguments]
    spool = directory / "spool"
    environment = {**os.environ, **(env or {})}
    environment.pop("FORENSICS_SPOOL", None)
    if watch:
        spool.mkdir()
        settings = {
            "version": 1,
            "run": "test",
            "every": None,
            "max_tokens": 8,
            "tensors": "all",
            "prompts": None,
            "known": None,
            "expect": None,
        }
        (spool / "options.json").write_text(
            json.dumps({**settings, "started": time.time(), **(options or {})})
        )
        inherited = environment.get("PYTHONPATH")
        environment |= {
            "FORENSICS_SPOOL": str(spool),
            "PYTHONPATH": os.pathsep.join([str(SITE), *([inherited] if inherited else [])]),
        }
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert not (odd := against_protocol(spool)), "\n".join(sorted(odd))
    return Ran(done.returncode, done.stdout, done.stderr, spool)


def against_protocol(spool: Path) -> set[str]:
    """What stands in the tables of a spool and not in `watch/protocol.py`, or the other way round."""
    odd = set()
    for path in spool.glob("p*/**/*.jsonl"):
        tables = protocol.TABLES if path.parent.name[0] == "p" else captured.TABLES
        for line in path.read_text(errors="replace").splitlines():
            try:
                row = json.loads(line)
            except ValueError:  # cut off by a kill
                continue
            odd |= {f"{path.stem}: {each}" for each in _odd(row, tables.get(path.stem))}
            if path.stem == "events":
                kinds = events.EVENTS
                odd |= {
                    f"event {row['kind']}: {each}" for each in _odd(row["detail"], kinds.get(row["kind"]))
                }
    return odd


def _odd(row: dict[str, Any], kind: Any) -> set[str]:
    if kind is None:
        return {"no such table or kind"}
    columns = {f.name: f.absent or not kind.__total__ for f in fields(kind)}
    wanted = {name for name, absent in columns.items() if not absent}
    return {f"{name} is not in the protocol" for name in row.keys() - columns} | {
        f"{name} is missing" for name in wanted - row.keys()
    }
