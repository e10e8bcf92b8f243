"""What no program can take back: hooks for audits and forks.

Installed once an interpreter, they call whoever watches now.

The one module of the watcher that stays after a watch ended before its process: it holds two lists, which are
empty then.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

auditing: list[Callable[[str, tuple[Any, ...]], None]] = []
forked: list[Callable[[], None]] = []


_HEARD = frozenset(("open", "os.rename"))  # of some hundred events, and ten thousands at a program's imports


def _audit(event: str, arguments: tuple[Any, ...], heard: frozenset[str] = _HEARD) -> None:
    if event in heard:
        for function in auditing:
            function(event, arguments)


def _fork() -> None:
    for function in forked:
        function()


def install() -> None:
    """Called once, when this module is first imported."""
    sys.addaudithook(_audit)
    os.register_at_fork(after_in_child=_fork)


install()
