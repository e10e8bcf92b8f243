"""Runs whose own tables are not in the store: what became of them, as far as the spool tells.

A run is sealed last, after its captures. Until then a directory of the spool bears its name; the process that
made it, and those that it watches, say whether somebody still works on it.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from forensics import files
from forensics.errors import NotSealed
from forensics.records import Row
from forensics.units import iso
from forensics.watch import protocol

State = Literal["recording", "sealing", "interrupted", "gone"]
SEALING = "sealing"
"""A file of the spool that is there from the moment at which the program ended and its run is being sealed.
"""
WHAT = "the run's own tables"
KIND = "run"
"""The kind of what is missing where a run was not sealed."""
_WHY: Mapping[State, str] = {
    "recording": "its program still runs, or is still watched; --wait waits until it is sealed",
    "sealing": "the run is being sealed at this moment; --wait waits until it is",
    "interrupted": (
        "sealing it was interrupted, or the disk was full;"
        " its spool is there, and the next command tries again"
    ),
    "gone": "they were removed, or captures of it were bundled without their run",
}


def state(root: Path, run: str) -> State:
    """What became of a run without tables of its own in the store at `root`."""
    spool = root / "spool" / run
    if not (spool / protocol.OPTIONS).is_file():
        return "gone"
    if not running(spool):
        return "interrupted"
    return "sealing" if (spool / SEALING).exists() else "recording"


def gap(root: Path | None, run: str) -> dict[str, str]:
    """What is missing of such a run: {"what", "why", "kind"}."""
    return {"what": WHAT, "why": _WHY["gone" if root is None else state(root, run)], "kind": KIND}


def row(root: Path | None, name: str, stored: str) -> Row:
    """The row of `runs` that stands for it.

    Its kind is NULL: nobody knows what would have been seen of it.
    """
    return {"run": name, "complete": False, "missing": json.dumps([gap(root, stored)])}


def begun(root: Path, run: str) -> str:
    """When an unsealed run was started, ISO 8601 in UTC; empty where the spool does not say."""
    started = _object(root / "spool" / run / protocol.OPTIONS).get("started")
    return iso(float(started)) if isinstance(started, (int, float)) else ""


def names(root: Path) -> list[str]:
    """The runs that lie in the spool."""
    return sorted(path.parent.name for path in (root / "spool").glob(f"*/{protocol.OPTIONS}"))


def refuse(root: Path, run: str) -> NotSealed:
    """The error of a run of which nothing can be read yet."""
    why = _WHY[state(root, run)]
    return NotSealed(
        f"Run {run} is not in the store yet: {why}.",
        str(root / "spool" / run),
        f"forensics diagnose {run} --wait",
    )


def wait(root: Path, run: str, seconds: float = 0.2) -> None:
    """Return when nobody records or seals the run any more; it is looked at every so many `seconds`."""
    while state(root, run) in ("recording", "sealing"):
        time.sleep(seconds)


def running(spool: Path) -> bool:
    """Does the capture that made the spool, or a process that it watches, still run?"""
    options = _object(spool / protocol.OPTIONS)
    pairs = [(options.get("parent"), options.get("started"))]
    for process in spool.glob("p*"):
        if process.is_dir() and process.name[1:].isdigit() and not _object(process / protocol.EXIT):
            facts = _object(process / protocol.PROCESS)
            pairs.append((facts.get("pid"), facts.get("started")))
    return any(_alive(pid, started) for pid, started in pairs)


def _alive(pid: Any, by: Any) -> bool:
    """Does the process run that had this number at the time `by`? A later one may have the number now."""
    if not isinstance(pid, int) or not files.alive(pid):
        return False
    boot = time.time() - time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
    began = boot
    with contextlib.suppress(OSError, ValueError, IndexError):  # on Linux alone
        stat = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
        if stat[0] in "ZX":  # it has ended, and nobody asked yet how
            return False
        began = boot + int(stat[19]) / os.sysconf("SC_CLK_TCK")
    return not isinstance(by, (int, float)) or began <= by + 2.0


def _object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where it is missing or broken."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
