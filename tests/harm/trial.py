"""One drawn program, plain and under `forensics capture`: what of it differs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.harm import lmprograms, programs
from tests.harm.counts import Count
from tests.support import tiny
from tests.support.command import command, environment

# The program's own peak, taken from within it, so that the command around it does not count. Linux's VmHWM
# begins anew with the program; ru_maxrss, which other systems have alone, begins with what the process that
# started it held.
PEAK = """
import pathlib, re, resource
status = pathlib.Path("/proc/self/status")
peak = (
    re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1] if status.exists()
    else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
)
pathlib.Path("peak").write_text(str(peak))
"""


def run(seed: int, count: int, place: Path) -> Count:
    """So many programs, every other one of mlx-lm."""
    done = Count(
        "output, errors, exit, files, draws, weights and live objects as without",
        "drawn programs of mlx and of mlx-lm",
    )
    ratios = []
    for number in range(count):
        name, program = (lmprograms if number % 2 else programs).draw(seed + number)
        wrong, ratio = compared(place / str(number), program)
        ratios += [ratio] if ratio else []
        done.add(name, "; ".join(wrong) or None)
        shutil.rmtree(place / str(number), ignore_errors=True)
    if ratios:
        done.notes.append(
            f"peak memory {sorted(ratios)[len(ratios) // 2]:.2f} of plain, at most {max(ratios):.2f}"
        )
    return done


def compared(directory: Path, program: str) -> tuple[list[str], float | None]:
    """What is not the same watched, and watched peak memory over plain.

    Held alike: output, errors (live objects among them), exit status and files; [] where all are.
    """
    # what a program prints on its way out stays its last word
    seen, plain = (_ran(directory / name, program, watch=name == "watched") for name in ("watched", "plain"))
    peaks = [ran["files"].pop("peak", None) for ran in (seen, plain)]
    ratio = int(peaks[0]) / int(peaks[1]) if all(peaks) else None
    return [
        f"{what}: {plain[what]!r} became {seen[what]!r}"[:600] for what in plain if plain[what] != seen[what]
    ], ratio


def _ran(directory: Path, program: str, *, watch: bool) -> dict[str, object]:
    directory.mkdir(parents=True)
    (directory / "tiny").symlink_to(tiny.cached(), target_is_directory=True)
    # before what the program does at its end, which may be an exit
    text = program.replace("\ndigest = hashlib", PEAK + "digest = hashlib", 1)
    (directory / "program.py").write_text(text)
    words = [sys.executable, "program.py"]
    store = directory.parent / "store"
    watched = [*command("--store", str(store), "capture", "--quiet", "--no-reload", "--"), *words]
    done = subprocess.run(
        watched if watch else words, cwd=directory, env=environment(), capture_output=True, check=False
    )
    found = (path for path in sorted(directory.rglob("*")) if path.is_file() and "tiny" not in path.parts)
    files = {str(path.relative_to(directory)): path.read_bytes() for path in found}
    errors = done.stderr.replace(os.fsencode(directory), b"DIRECTORY")
    return {"stdout": done.stdout, "stderr": errors, "exit": done.returncode, "files": files}
