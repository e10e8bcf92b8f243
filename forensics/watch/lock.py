"""The one lock over the watcher's state, and which thread may evaluate what."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from .originals import threading


class Lock:
    """The one lock over the watcher's state.

    It is never held while code of the program or of mlx runs: `released` lets go of it.

    A model's forward may take a lock of the program's own, and an evaluation waits for other threads: whoever
    waits for us meanwhile would wait for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    @contextlib.contextmanager
    def released(self) -> Iterator[None]:
        """Let go of the lock for a while, however often this thread holds it."""
        lock: Any = self._lock
        depth = lock._release_save() if lock._is_owned() else None
        try:
            yield
        finally:
            if depth is not None:
                lock._acquire_restore(depth)


def is_mine(thread: int | None) -> bool:
    """May this thread evaluate what that one made? Its own, and what a thread that has ended left."""
    if thread is None or thread == threading.get_ident():
        return True
    return all(thread != item.ident for item in threading.enumerate())
