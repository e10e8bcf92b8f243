"""A child process under limits of memory and time.

In it free SQL runs, a stranger's bundle is read, or a stranger's model is loaded.

The system's own limits (`limit`, called in the child) are not kept everywhere: macOS knows none for address
space. So the parent looks too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

_LOOK = 0.03
"""Seconds between two looks at a child: what allocates as fast as memory can be filled gets some 100 MB
beyond its limit.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may take: bytes in memory, seconds on the clock, seconds of processor.

    None for no limit.
    """

    memory: int | None = None
    seconds: float | None = None
    processor: float | None = None


class Bounded:
    """Watches a child from a thread, and ends it where it takes more than it may.

    `over` then says what it took too much of.

    `limits` is asked at every look, since a child may have more time for one part of its work than for
    another.
    """

    def __init__(self, child: subprocess.Popen[Any], limits: Callable[[], Limits]) -> None:
        self.over: Literal["memory", "time"] | None = None
        self._child, self._limits, self._began = child, limits, time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def wait(self) -> int:
        """The child's status, once `over` is final."""
        status = self._child.wait()
        self._thread.join()
        if status == -signal.SIGXCPU:
            self.over = self.over or "time"
        return status

    def _watch(self) -> None:
        while self._child.poll() is None:
            self.over = self._exceeded(self._limits())
            if self.over:
                self._child.kill()
                return
            time.sleep(_LOOK)

    def _exceeded(self, limits: Limits) -> Literal["memory", "time"] | None:
        if limits.seconds is not None and time.monotonic() - self._began > limits.seconds:
            return "time"
        if limits.processor is not None and processor_seconds(self._child.pid) > limits.processor:
            return "time"
        return "memory" if limits.memory is not None and resident(self._child.pid) > limits.memory else None


def resident(pid: int) -> int:
    """Bytes of a process in memory; 0 where that cannot be seen."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        if sys.platform == "linux":
            return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return int(_ps(pid, "rss")) << 10
    return 0


def processor_seconds(pid: int) -> float:
    """Seconds of processor that a process used, in all its threads; 0 where that cannot be seen."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        if sys.platform == "linux":
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        *hours, minutes, seconds = _ps(pid, "time").split(":")
        return 3600 * sum(map(int, hours)) + 60 * int(minutes) + float(seconds)
    return 0.0


def _ps(pid: int, column: str) -> str:
    done = subprocess.run(
        ["ps", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, timeout=5, check=False
    )
    return done.stdout.strip()


def limit(memory: int | None, seconds: int | None = None) -> None:
    """In the child: set the system's own limits on memory and processor time, and write no core file.

    They hold where the system keeps them.
    """
    import resource  # import time: only children need it

    for kind, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        if value is not None:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(kind, (value, value))
