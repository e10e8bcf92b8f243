"""Begins the watch when the program imports mlx, and ends it when the interpreter does."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from . import changes, hooks, originals, permanent, protocol
from .moments import moments, name_of
from .places import raised_at
from .repeat import request
from .run import watch
from .stdlib import first

_hooked: set[str] = set()


def begin() -> None:
    """Claim this process's directory and load the hooks. Called once, when mlx.core has executed."""
    if watch.on:
        return
    spool = Path(os.environ[protocol.VARIABLE])
    options = json.loads((spool / protocol.OPTIONS).read_text(encoding="utf-8"))
    originals.keep_core()
    watch.begin(spool, options)
    with watch.looking("process"), first():
        from .capture import facts  # import time is watched, as what it does

        facts.process()
    install()
    permanent.forked.append(_forked)
    changes.at_end(permanent.forked.clear)
    atexit.register(_end)
    for module in list(sys.modules.values()):  # what was imported before mlx, and is hooked all the same
        if not getattr(getattr(module, "__spec__", None), "_initializing", False):
            hook(module)


def install() -> None:
    """Let the points and every hook say what they patch, and at which moments they are called."""
    moments.on_first_update(last)
    with watch.looking("points"):
        from .capture import boundaries  # as above

        boundaries.install(moments)
    for name in request.modules([f"hooks.{name}" for name in hooks.names()]):
        with watch.looking(f"hooks of {name}"):
            module = importlib.import_module(f".{name}", __package__)
            if hasattr(module, "install"):
                module.install(moments)


def hook(module: Any) -> None:
    """Run the hooks of a module that has executed."""
    name = getattr(module, "__name__", None)
    if name not in moments.patches or name in _hooked or not watch.on:
        return
    _hooked.add(name)
    for owner, function in moments.patches[name]:
        with watch.looking(f"hook {owner} of {name}"):
            function(module)


def last() -> None:
    """Move our exit work before what was registered until now (atexit runs the last registered first)."""
    if watch.on:
        atexit.unregister(_end)
        atexit.register(_end)


def _forked() -> None:
    """Stop watching in a forked child, which has no mlx streams and another life.

    It writes nothing of its parent's.
    """
    watch.on = False


def _end() -> None:
    """The interpreter ends; it has set `last_value` for an exception that nobody caught."""
    finish(getattr(sys, "last_value", None))


def finish(error: BaseException | None) -> None:
    """Take what is due, say how the program ended, and watch no more; `error` ended it, if one did."""
    if not watch.on or os.getpid() != watch.pid:
        return
    for function in moments.ends:
        with contextlib.suppress(Exception), watch.looking(name_of(function)):
            function(error)
    with contextlib.suppress(Exception), watch.looking("the end of the process"):
        from .capture import boundaries  # as above

        boundaries.finish()
    with contextlib.suppress(Exception):
        text = None if error is None else f"{type(error).__name__}: {error}"
        name = type(error).__name__ if error is not None else None
        watch.event(
            "exit", None, raised_at(error.__traceback__) if error is not None else None, exception=name
        )
        watch.close()
        temporary = watch.directory / f".{protocol.EXIT}"
        temporary.write_text(
            json.dumps(protocol.Exit(time=time.time(), exception=text, spent=watch.spent)), encoding="utf-8"
        )
        temporary.replace(watch.directory / protocol.EXIT)
    watch.on = False


def take_out(error: BaseException | None) -> None:
    """End the watch before the process ends.

    Every hook goes, and what the program made meanwhile works on without us.
    """
    finish(error)
    atexit.unregister(_end)
    changes.take_back()
    watch.models.clear()
    for module in [name for name in sys.modules if name.partition(".")[0] == "_forensics_watch"]:
        if not module.endswith(".permanent"):
            sys.modules.pop(module, None)
