"""The last look at a model, or at an optimizer, that the program drops.

Nothing of ours keeps one alive after its last use.

A finalizer stands in the object's class. Python calls it while the object is still whole, so an `end` that is
due is taken then. Where nothing may be evaluated in that moment (in a gradient, in a trace, on another thread
than the one that trains), the object waits for the next moment at which something may.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import changes
from ..originals import os, threading
from ..run import watch
from ..wrapping import wrap

Look = Callable[[Any], None]

_due: dict[int, Look] = {}  # id of an object that lives -> what is done when it is dropped
_waiting: list[tuple[Any, Look]] = []  # dropped at a moment at which nothing may be evaluated


def follow(item: Any, look: Look) -> None:
    """Call `look(item)` once, when the program drops `item`."""
    cls = type(item)
    if "__forensics__" not in dir(getattr(cls, "__del__", None)):
        if hasattr(cls, "__del__"):
            wrap(cls, "__del__", _finalizer)
        else:
            finalizer = _finalizer(None)
            finalizer.__forensics__ = (_finalizer,)  # type: ignore[attr-defined]
            changes.put(cls, "__del__", finalizer)
    _due[id(item)] = look


def _finalizer(original: Callable[[Any], None] | None) -> Callable[[Any], None]:
    def __del__(self: Any) -> None:
        try:
            look = _due.pop(id(self), None) if watch.on and os.getpid() == watch.pid else None
            if look is not None:
                _looked(self, look)
        except KeyboardInterrupt:  # a finalizer cannot raise: the program gets its Ctrl-C a moment later
            threading.Timer(0.01, _interrupt).start()
        except BaseException:  # noqa: BLE001, S110   as above; at the interpreter's end even our names may be gone
            pass
        if original is not None:
            original(self)

    return __del__


def _interrupt() -> None:
    import _thread

    _thread.interrupt_main()


def _looked(item: Any, look: Look) -> None:
    if watch.tracing or watch.local.gradient or watch.local.quiet:
        _waiting.append((item, look))
    else:
        with watch.looking("what the program dropped"):
            look(item)


def catch_up() -> None:
    """Look at what was dropped since, now that it may be."""
    while _waiting and not (watch.tracing or watch.local.gradient):
        item, look = _waiting.pop()
        with watch.looking("what the program dropped"):
            look(item)
