"""Repeats side by side: what is asked for next is begun while the one before it still runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from forensics.prove import process
from forensics.prove.repeat import Repeat

MOST = 2
"""Repeats at once: each is a program that may use every core and the one graphics processor."""
_TIMES = 8  # a model's bytes that a program with its gradients and moments holds
_BESIDE = 1 << 30  # bytes of libraries and of what a batch makes
Wanted = tuple[tuple[str, ...], int]
"""(findings cured, number of the repeat)."""


def at_once(nbytes: int) -> int:
    """How many repeats of a program whose model has so many bytes this machine runs at once."""
    cores = os.cpu_count() or 1
    room = _available() // (_TIMES * nbytes + _BESIDE)
    return max(1, min(MOST, cores, room))


def _available() -> int:
    """Bytes of memory; where the system does not say, half of what the machine has."""
    with contextlib.suppress(OSError, ValueError, StopIteration), Path("/proc/meminfo").open() as file:
        return 1024 * int(next(line for line in file if line.startswith("MemAvailable:")).split()[1])
    with contextlib.suppress(OSError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 0


class Ahead:
    """Runs `make(findings, number)`, one or some at once, in the order in which they are begun."""

    def __init__(self, make: Callable[[tuple[str, ...], int], Repeat], number: int) -> None:
        self._make, self._number = make, number
        self._futures: dict[Wanted, Future[Repeat]] = {}
        self._threads = ThreadPoolExecutor(number)

    def __enter__(self) -> Ahead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what still runs: nobody asks for it any more."""
        for future in self._futures.values():
            future.cancel()
        process.end_all()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def begin(self, wanted: Iterable[Wanted]) -> None:
        """These will be asked for, in this order."""
        if self._number > 1:
            for each in wanted:
                self._futures[each] = self._threads.submit(self._make, *each)

    def take(self, findings: tuple[str, ...], number: int) -> Repeat:
        """The repeat, run now where it was not begun."""
        future = self._futures.pop((findings, number), None)
        return self._make(findings, number) if future is None else future.result()

    def leave(self, findings: tuple[str, ...]) -> None:
        """No further repeat with these findings cured is asked for."""
        for wanted in [each for each in self._futures if each[0] == findings]:
            if self._futures[wanted].cancel():
                del self._futures[wanted]
