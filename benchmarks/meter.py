"""Runs one command and says what it took."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor seconds, wall seconds, cores used, and the most anonymous memory in MB.

    `failed` is its last line of stderr.
    """

    processor: float
    wall: float
    anonymous: float
    failed: str | None

    @property
    def cores(self) -> float:
        return self.processor / self.wall if self.wall else 0.0


def cost(
    command: Sequence[str], variables: Mapping[str, str] | None = None, *, good: Sequence[int] = (0, 1)
) -> Cost:
    """Run a command to its end.

    `good` are the statuses that are no failure (`diff` ends with 1 where something differs).
    """
    with tempfile.TemporaryFile() as said:
        began = time.monotonic()
        child = subprocess.Popen(
            command, env={**os.environ, **(variables or {})}, stdout=subprocess.DEVNULL, stderr=said
        )
        most = [0.0]
        watcher = threading.Thread(target=_watch, args=(child.pid, most), daemon=True)
        watcher.start()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        watcher.join()
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
    failed = None if child.returncode in good else (lines or [f"status {child.returncode}"])[-1][:200]
    return Cost(usage.ru_utime + usage.ru_stime, wall, most[0], failed)


def _watch(pid: int, most: list[float]) -> None:
    """Mapped pages of clean files count as resident, so only anonymous memory says what a program holds."""
    while (now := anonymous(pid)) is not None:
        most[0] = max(most[0], now)
        time.sleep(0.01)


def anonymous(pid: int) -> float | None:
    """MB of anonymous memory that a process holds; None where it ended, or the system does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon")), None)


def forget(paths: Sequence[Path]) -> None:
    """Drop files from the page cache, as far as the system lets us."""
    for path in paths:
        with suppress(OSError, AttributeError), path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
