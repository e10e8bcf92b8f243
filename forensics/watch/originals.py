"""What we call of the standard library and of mlx.core, as it was before the program could replace it.

A program may put a function of its own in place of `json.dumps`, `time.time` or `mx.eval`, to count, to
freeze or to trace. It sees its own calls alone: each module here is a copy of the names that the real one had
when the watch began.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = [
    "getframe",
    "hashlib",
    "inspect",
    "json",
    "math",
    "mlx_core",
    "os",
    "statistics",
    "threading",
    "time",
]

getframe = sys._getframe


class Copied:
    """The names of a module as they stand now; their values are the module's own."""

    def __init__(self, module: Any) -> None:
        self.__dict__.update(vars(module))


if TYPE_CHECKING:
    import hashlib
    import inspect
    import json
    import math
    import os
    import statistics
    import threading
    import time
else:
    for _name in ("hashlib", "inspect", "json", "math", "os", "statistics", "threading", "time"):
        globals()[_name] = Copied(import_module(_name))

_core: list[Any] = []


def keep_core() -> None:
    """Copy mlx.core: called when it has executed, and nobody could replace a function yet."""
    _core[:] = [Copied(sys.modules["mlx.core"])]


def mlx_core() -> Any:
    """mlx.core as it was when the watch began; as it is, where there is no watch."""
    return _core[0] if _core else sys.modules["mlx.core"]
