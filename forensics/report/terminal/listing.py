"""The runs and captures of a store on a terminal: what `list` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from forensics.report.terminal.lines import (
    safe,
    table,
)
from forensics.store.overview import Line
from forensics.units import counted, size

Facts = Mapping[str, Any]
LABEL = 11
ANSWERS = 8


def listing(
    root: str, lines: Sequence[Line], packs: int, width: int, *, captures: bool, now: datetime | None = None
) -> Text:
    """What `list` prints: one line a run, or a capture."""
    if not lines:
        hint = (
            "forensics capture -- python train.py\nThe package ships recorded runs: forensics diagnose"
            " snapshots/broken-stub"
        )
        return Text.assemble(f"Nothing is captured yet in {safe(root)}.\n", (hint, "dim"))
    moment = now or datetime.now(UTC)
    if captures:
        head = ["CAPTURE", "AGE", "MODEL", "UPDATES", "TABLES", ""]
        rows: list[list[object]] = [
            [
                c["capture"],
                age(c["created_at"] or line.created_at, moment),
                c["model"],
                c["updates"],
                size(_n(c["nbytes"])),
                _state(c),
            ]
            for line in lines
            for c in line.captures
        ]
        shown = table(head, rows, width, right=(3, 4), indent=0)
    else:
        head = ["RUN", "AGE", "POINTS", "STEPS", "LOSS", "TABLES", "VERDICT"]
        rows = [
            [
                line.run,
                age(line.created_at, moment),
                _points(line),
                line.steps,
                line.last_loss,
                size(line.nbytes),
                _verdict(line),
            ]
            for line in lines
        ]
        shown = table(head, rows, width, right=(3, 4, 5), indent=0)
        shown.highlight_words([f" {v}" for v in ("faulty", "damaged")], "red")
        shown.highlight_words([" healthy"], "green")
    count, tables = sum(len(line.captures) for line in lines), sum(line.nbytes for line in lines)
    total = (
        f"{counted(len(lines), 'run')}, {counted(count, 'capture')};"
        f" tables {size(tables)}, tensors {size(packs)}"
    )
    return Text("\n").join([shown, Text(total, "dim")])


def age(created: object, now: datetime) -> str:
    """How long ago, in its largest unit: 5 min, 3 h, 2 d."""
    try:
        moment = datetime.fromisoformat(str(created).replace("Z", "+00:00"))
    except ValueError:
        return "-"
    seconds = (now - (moment if moment.tzinfo else moment.replace(tzinfo=UTC))).total_seconds()
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return "now" if seconds < 5 else f"{seconds:.0f} s"


def _points(line: Line) -> str:
    points = line.points
    return (
        " ".join(points) if len(points) <= 8 else " ".join([*points[:3], f"+{len(points) - 5}", *points[-2:]])
    )


def _verdict(line: Line) -> str:
    if line.problem:
        return "damaged"
    word = line.verdict or ("-" if line.complete else "incomplete")
    return f"{word}: {', '.join(line.causes)}" if line.causes else word


def _state(capture: Mapping[str, Any]) -> str:
    return (
        "digests alone"
        if capture.get("whole") is False
        else ""
        if capture.get("complete", True)
        else "incomplete"
    )


def _n(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
