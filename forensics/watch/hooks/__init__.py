"""What the watcher patches in the user's process: a module a surface, each with `install(run)`.

`install` says which modules are patched and at which moments the hook is called (`moments.Moments`). A module
that is put into this folder is found by itself: it is installed after ours and before those of `OUTERMOST`.
One without `install` only helps others.
"""

from __future__ import annotations

from ..originals import os

ORDER = (
    *("ranks", "load", "save", "arrays", "modules", "convert", "trainer", "files", "gradients", "losses"),
    *("compiling", "updates", "schedules", "generate", "caches"),
)
"""Where several patch one function, the later wraps the earlier."""
OUTERMOST = ("errors",)
"""Exceptions are seen last, when every other hook has seen the call."""


def names() -> list[str]:
    """The modules of this folder in the order in which they are installed."""
    there = {
        name.removesuffix(".py") for name in os.listdir(os.path.dirname(__file__)) if name.endswith(".py")
    }
    others = sorted(there - {*ORDER, *OUTERMOST, "__init__"})
    return [*ORDER, *others, *OUTERMOST]
