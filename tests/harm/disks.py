"""A full disk of every size.

The program is as without us, and what could not be kept is never called healthy.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

from tests.harm.counts import Count
from tests.support.command import LOOP, command, environment, write

SIZES = [round(0.5 + 0.1 * step, 1) for step in range(36)]  # MB

# 1.6 MB of weights, Adam's two moments of each, and sixty captures: a whole record takes more than the
# smaller disks have
PROGRAM = LOOP.replace("nn.Embedding(16, 8), nn.Linear(8, 16)", "nn.Embedding(3000, 128), nn.Linear(128, 16)")
PROGRAM = PROGRAM.replace("optim.SGD(0.1)", "optim.Adam(1e-3)")
PROGRAM = PROGRAM.replace("range(3)", "range(300)")
assert all(word in PROGRAM for word in ("3000", "Adam", "300"))

SCRIPT = """
mount -t tmpfs -o size={bytes} none {store} || exit 77
{capture} >out 2>err; echo $? >status
cp {store}/runs/night/manifest.json manifest.json 2>/dev/null
{diagnose} >judged 2>said; echo $? >verdict
"""


def run(seed: int, count: int, place: Path) -> Count:
    """`count` of the sizes from 0.5 to 4 MB, all where it is 36.

    A small tmpfs is mounted in a user namespace of its own.
    """
    done = Count(
        "a full disk costs evidence, never the run, and is never called healthy", "disks of 0.5 to 4 MB"
    )
    sizes = (
        SIZES
        if count >= len(SIZES)
        else [SIZES[(seed + k * len(SIZES) // count) % len(SIZES)] for k in range(count)]
    )
    plain = _plain(place / "plain")
    complete = 0
    for size in sizes:
        wrong, whole = _tried(place / f"d{size}", int(size * 1_000_000), plain)
        complete += whole
        done.add(f"{size} MB", wrong)
    done.notes.append(f"{complete} of them large enough for the whole record")
    return done


def _plain(directory: Path) -> tuple[str, str]:
    directory.mkdir(parents=True)
    write(directory, PROGRAM)
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=directory, capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


def _tried(directory: Path, size: int, plain: tuple[str, str]) -> tuple[str | None, bool]:
    """What is amiss on a disk of so many bytes, and whether the record is whole."""
    directory.mkdir(parents=True)
    write(directory, PROGRAM)
    (directory / ".forensics").mkdir()
    watch = command(
        "capture",
        "--quiet",
        "--no-reload",
        "--every",
        "5",
        "--name",
        "night",
        "--",
        sys.executable,
        "train.py",
    )
    script = SCRIPT.format(
        bytes=size,
        store=".forensics",
        capture=_line(watch),
        diagnose=_line(command("diagnose", "night", "--json")),
    )
    ran = subprocess.run(
        ["unshare", "-Urm", "bash", "-c", script], cwd=directory, env=environment(), check=False
    )
    if ran.returncode == 77 or not (directory / "status").exists():
        return "no small disk could be mounted here", False
    out, err = (directory / "out").read_text(), (directory / "err").read_text()
    if (directory / "status").read_text().strip() != "0" or out != plain[0]:
        return f"the program: exit {(directory / 'status').read_text().strip()}, {err[-300:]}", False
    said, verdict = (directory / "said").read_text(), (directory / "verdict").read_text().strip()
    if verdict == "3" or (verdict == "2" and len(said.strip().splitlines()) == 3):
        return None, False  # damaged, or nothing of the run could be kept: said in our three lines
    judged = json.loads((directory / "judged").read_text() or "{}")
    if not (directory / "manifest.json").exists():  # nothing of the run could be sealed
        return ("healthy, though nothing was kept" if judged.get("verdict") == "healthy" else None), False
    head = json.loads((directory / "manifest.json").read_text())["head"]
    short = [gap["kind"] for gap in json.loads(head["missing"] or "[]") if gap.get("kind") != "watcher"]
    if judged.get("verdict") == "healthy" and short:
        return f"healthy, though rows are missing: {short}", False
    whole = bool(head["complete"])
    return (None, whole) if judged.get("verdict") else (f"diagnose: exit {verdict}: {said[-200:]}", False)


def _line(words: list[str]) -> str:
    return shlex.join(words)
