"""The process of a repeat: started in a session of its own, and ended with all that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE = 5.0
"""A repeat may take so many times as long as the recorded run, and two minutes more."""
PATIENCE_OVER = -signal.SIGXCPU
"""The status of a repeat that took too long."""
_ANEW = 4  # times that the patience may begin

_lock = threading.Lock()
_running: set[subprocess.Popen[bytes]] = set()
_ended: set[subprocess.Popen[bytes]] = set()


def patience(seconds: float) -> float:
    """Seconds that a repeat may take of a run that took `seconds`."""
    return PATIENCE * seconds + 120.0


def ran(words: Sequence[str], cwd: Path, variables: Mapping[str, str], said: Path, patience: float) -> int:
    """The exit status of the program, whose output goes into `said`.

    It is ended where it takes too long, or where this thread is interrupted.

    Raises:
        KeyboardInterrupt: `end_all` ended it.
    """
    with said.open("wb") as file:
        child = subprocess.Popen(
            words,
            cwd=cwd,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with _lock:
            _running.add(child)
        try:
            status = _waited(child, patience)
        finally:
            _end(child)
            with _lock:
                _running.discard(child)
        if child in _ended:
            raise KeyboardInterrupt
        return status


def end_all() -> None:
    """End every program that runs in another thread, whose `ran` then raises KeyboardInterrupt."""
    with _lock:
        _ended.update(_running)
        for child in _running:
            _kill(child)


def _waited(child: subprocess.Popen[bytes], patience: float) -> int:
    """Its exit status; the patience begins anew, a few times, where the machine has too much else to do."""
    for _ in range(_ANEW):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(patience)
        if os.getloadavg()[0] <= 2 * (os.cpu_count() or 1):
            break
    return PATIENCE_OVER


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        _kill(child)
        child.wait()


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
