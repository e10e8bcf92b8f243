"""`--stop-on` and `--tell`: interrupts the program where the verdict on a step says so.

Another process judges. Here a step that is due is written out at the next call that we hook, when the program
itself has evaluated it; then we look for the file that a verdict leaves. Without the options nothing of this
happens.
"""

from __future__ import annotations

import ctypes
import signal
from dataclasses import dataclass

from .. import protocol
from ..capture import boundaries
from ..moments import Moments
from ..originals import threading
from ..run import watch
from ..training import steps
from ..training.event import Event

_GRACE = 2  # updates that a program gets to end by its own handler of SIGINT


@dataclass
class _State:
    due: int | None = None  # the step that was completed and is to be judged
    updates: int = 0
    handled: int | None = None  # updates when the program's own handler was called
    done: bool = False


_state = _State()


def _updated(event: Event) -> None:
    """A step was completed."""
    _state.updates += 1
    judged_at = watch.options.get("judged_at")
    if judged_at and event.model is not None and (number := steps.completed(event.model)) in judged_at:
        _state.due = number


def look() -> None:
    """At the beginning of a call that we hook. Raises KeyboardInterrupt where the program is to end, once."""
    if not watch.options.get("judged_at") or not watch.observing:
        return
    if _state.due is not None:
        step, _state.due = _state.due, None
        boundaries.judged(step)
    if _state.done or not (watch.spool / protocol.STOP).exists():
        return
    if _state.handled is None or _state.updates >= _state.handled + _GRACE:
        _interrupt()


def _interrupt() -> None:
    """Interrupt the program as Ctrl-C does, and by KeyboardInterrupt where that does nothing.

    So it is where SIGINT is ignored, or the program's handler lets it train on.
    """
    main, handler = threading.main_thread(), signal.getsignal(signal.SIGINT)
    heard = callable(handler) and _state.handled is None
    own = heard and handler is not signal.default_int_handler
    _state.done = not own
    _state.handled = _state.updates
    if threading.current_thread() is main:
        if not own:
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)
    elif main.ident is not None and heard:
        signal.pthread_kill(main.ident, signal.SIGINT)  # wakes it where it waits for this thread
    elif main.ident is not None:
        raising = ctypes.pythonapi.PyThreadState_SetAsyncExc
        raising(ctypes.c_ulong(main.ident), ctypes.py_object(KeyboardInterrupt))


def install(run: Moments) -> None:
    run.on_update(_updated)
