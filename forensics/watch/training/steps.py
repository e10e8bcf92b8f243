"""What happened in training, in order: gradients and updates, and the rows that follow from them.

Taps and hooks `emit` events. An event is plain facts and a dict of small arrays that are not computed yet.
Inside a compiled function these arrays leave as extra outputs, and the event happens anew with each call. The
arrays were made so that the program's own evaluation computes them (`mx.depends`); they are read two updates
later or more, when it has done so, or at the next safe moment. What the program leaves alone is computed in
kept steps only.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .. import trees
from ..capture import registry
from ..capture.tensors import computed
from ..lock import is_mine
from ..models import Model
from ..moments import moments
from ..originals import threading, time
from ..places import where
from ..run import watch
from ..trees import mx
from . import replaced
from .event import Event, Step, Trace, other_reading

LAG = 2  # updates that may wait for their numbers: by then most programs have evaluated them
_LOOKS = (3, 5, 9, 17)  # updates that wait when it is looked whether the oldest is evaluated
_MOST = 32  # updates that wait at most: one that is not evaluated then is written without its numbers
# gradients of one kept step that are kept, then those of powers of two: some programs drop all of them
_KEPT = 32
WAITING = 64  # gradients of one step that are held; what lies before is written


class _Local(threading.local):
    def __init__(self) -> None:
        self.traces: list[Trace] = []
        self.forwards: list[Event] = []  # forwards outside gradients since the last gradient
        self.unwritten: list[Event] = []  # updates whose arrays the program has not put in place yet
        # model number -> a write by hand that may be part of the update that follows
        self.pending_writes: dict[str, Event] = {}
        self.done: deque[Step] = deque()
        with watch.lock:
            _queues.append((threading.get_ident(), self.done))


# complete steps by the thread that made them, which alone evaluates them while it lives
_queues: list[tuple[int, deque[Step]]] = []
local = _Local()
_open: dict[str, Step] = {}  # model number -> the step under way
_steps: dict[str, int] = {}  # model number -> steps so far
_ended: dict[str, float] = {}  # model number -> when its last step ended
_phases: dict[str, tuple[int, int]] = {}  # model number -> (phase, steps before it)
# model number -> the last of its steps that the program is known to have computed, and that we computed
_computed: dict[str, int] = {}
_forced: dict[str, int] = {}
_put_in: set[str] = set()  # models of such updates that were put in place before


# -- tracing -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def tracing(trace: Trace) -> Iterator[Trace]:
    """Events go into `trace` for a while."""
    local.traces.append(trace)
    try:
        with watch.within("tracing"):
            yield trace
    finally:
        local.traces.pop()


def open_here() -> bool:
    """May arrays be taken here? Not inside a transformation that none leaves."""
    return not any(trace.closed for trace in local.traces)


def emit(event: Event) -> None:
    """An event happened; in a trace it belongs to the function that is traced."""
    if local.traces:
        if open_here():
            local.traces[-1].events.append(event)
    elif not watch.tracing:
        _add(event)


def replay(trace: Trace, arrays: list[dict[str, Any]]) -> None:
    """A compiled function was called: what its trace did happened again, with these arrays."""
    for event, given in zip(trace.events, arrays, strict=True):
        emit(replace(event, arrays=given))


def await_write(event: Event) -> None:
    """`apply_gradients` was called by itself.

    The update happens when the program puts the arrays in place.
    """
    local.unwritten.append(event)
    if event.model is not None:
        event.model.unwritten += 1


def put_in() -> None:
    """The program put them in place."""
    while local.unwritten:
        event = local.unwritten.pop(0)
        if event.model is not None:
            _put_in.add(event.model.number)
            event.model.unwritten -= 1
        emit(event)


def by_hand(model: Model, names: list[str]) -> Event:
    """The program wrote parameters itself, after a gradient."""
    return Event("write", model, {"names": names, "compiled": watch.tracing}, {}, where())


def follows_gradient(model: Model) -> bool:
    """Was there a gradient of this model since its last step?"""
    if local.traces:
        events = [event for event in local.traces[-1].events if event.model is model]
        return bool(events) and events[-1].kind == "gradient"
    return model.number in _open and model.number not in local.pending_writes


def newest_gradient(model: Model) -> Event | None:
    """The gradient of this model that came last, in the function that is traced or in the step under way."""
    if local.traces:
        events = [event for event in local.traces[-1].events if event.kind == "gradient"]
    else:
        step = _open.get(model.number)
        events = step.gradients if step is not None else []
    return events[-1] if events and events[-1].model is model else None


# -- steps ---------------------------------------------------------------------------------------------------


def _add(event: Event) -> None:
    if event.kind == "forward":
        local.forwards.append(event)
        del local.forwards[:-8]
    elif event.model is not None and event.kind == "update":
        waiting = local.pending_writes.pop(event.model.number, None)
        _close(event, event.model)
        if waiting is not None:  # decay by hand, say: one gradient, one step
            for function in moments.updates:
                function(waiting)
    elif event.model is not None:
        _release(event.model.number)
        if event.kind == "gradient":
            _gradient(event, event.model)
        elif trees.is_module(event.model.module):
            local.pending_writes[event.model.number] = event
        else:
            _close(event, event.model)


def _release(number: str) -> None:
    """No update followed a write by hand, so the write itself is the step."""
    waiting = local.pending_writes.pop(number, None)
    if waiting is not None and waiting.model is not None:
        _close(waiting, waiting.model)


def _step(model: Model, began: float) -> Step:
    step = _open.get(model.number)
    if step is None:
        step = Step(
            model,
            _steps.get(model.number, 0) + 1,
            in_full=keeps(model),
            began=_ended.get(model.number, began),
        )
        _open[model.number] = step
    return step


def _gradient(event: Event, model: Model) -> None:
    model.gradients += 1
    step = _step(model, event.facts["began"])
    event.arrays["before"] = [forward.arrays for forward in local.forwards]
    local.forwards.clear()
    event.in_full = step.in_full and _keeps(step.count)
    if step.in_full and not step.count:  # before we compute what a kept step needs
        step.pending = _pending(step)
        _forced[model.number] = step.number - 1
    taps = event.arrays["taps"]
    _settled(event.in_full, [*taps, *(other_reading(tap)[1] for tap in taps)], "full")
    step.gradients.append(event)
    step.count += 1
    if len(step.gradients) > WAITING:
        _write(step, partly=True)


def _close(event: Event, model: Model) -> None:
    step = _step(model, time.perf_counter())
    del _open[model.number]
    step.update, step.replaced = event, replaced.of_step(model)
    now = _ended[model.number] = time.perf_counter()
    step.seconds = now - step.began
    _steps[model.number] = step.number
    _settled(step.in_full, [event.arrays], "parameter")
    local.done.append(step)
    _write_waiting(local.done)
    for function in moments.updates:
        function(event)


def _pending(step: Step) -> int:
    """How many updates of the model lie before this one that the program has not computed.

    Where the step before is kept as well, it alone tells: what lies before it we have computed ourselves.
    Otherwise a few looks find the last that is computed, since each has computed those before it.
    """
    number = step.model.number
    before = [each for each in local.done if each.model is step.model]
    if before and not before[-1].in_full:
        before = [each for each in before if each.number > _forced.get(number, 0)]
        low, high = 0, len(before)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if _until(before[middle]) else (low, middle)
        before = before[low - 1 : low] if low else []
    for each in before[-1:]:
        _computed[number] = max(_computed.get(number, 0), _until(each))
    return step.number - 1 - max(_computed.get(number, 0), step.model.answered)


def _until(step: Step) -> int:
    """The last update that is known to be computed by this one, or by its loss; 0: none."""
    if step.update is None or not step.update.arrays or _is_computed(step.update.arrays):
        return step.number
    values = [each.arrays["value"] for each in step.gradients if "value" in each.arrays]
    return step.number - 1 if any(map(computed, values)) else 0


def _write_waiting(done: deque[Step]) -> None:
    """Write what the program has evaluated by now, and what has waited too long.

    To look is dear where it has not.
    """
    looks = len(done) in _LOOKS
    while len(done) > LAG and (len(done) > _MOST or done[0].in_full or (looks and _ready(done[0]))):
        step = done.popleft()
        number = step.model.number
        if looks and len(done) < _MOST and step.number > _forced.get(number, 0) and not step.in_full:
            _computed[number] = max(_computed.get(number, 0), step.number)  # it was ready
        _write(step)


def keeps(model: Model) -> bool:
    """Are the loss's tokens kept at the next step? At the first 8 of a phase, then at 16, 32, 64, ..."""
    track, number = registry.tracks.get(model.number), _steps.get(model.number, 0) + 1
    phase, before = _phases.get(model.number, (-1, 0))
    begins = track is None or not track.started or (track.ended and track.renewed)
    now = (track.phase if track else 0) + begins
    if now != phase:
        before = number - 1
        _phases[model.number] = (now, before)
    index = number - before
    return index <= 8 or index & (index - 1) == 0


def completed(model: Model) -> int:
    """How many steps of this model are complete."""
    return _steps.get(model.number, 0)


def keeps_gradient(model: Model) -> bool:
    """Is every position of the next gradient written?"""
    step = _open.get(model.number)
    return keeping(model) and _keeps(step.count if step else 0)


def _keeps(before: int) -> bool:
    return before < _KEPT or before & (before + 1) == 0


def keeping(model: Model) -> bool:
    """Is the step under way one that is kept?"""
    return _open[model.number].in_full if model.number in _open else keeps(model)


def _settled(is_kept: bool, holders: list[dict[str, Any]], key: str) -> None:
    """What a compiled function offers for kept steps: computed at once where the step is one, else never."""
    for holder in holders:
        if key in holder and not is_kept:
            del holder[key]
        elif key in holder:
            mx().eval(holder[key])


def waiting() -> Iterator[Event]:
    """The gradients of this thread that are not written yet."""
    for step in [*local.done, *list(_open.values())]:
        yield from step.gradients


def flush() -> None:
    """Write every step that is complete: those of this thread, and of threads that have ended."""
    for number in list(local.pending_writes):
        _release(number)
    for done in [local.done, *_left_behind()]:
        while done:
            _write(done.popleft(), boundary=True)


def _left_behind() -> list[deque[Step]]:
    """The steps of threads that have ended.

    Whoever asks first has them: several threads may flush at once.
    """
    with watch.lock:
        ended = [queue for queue in _queues if queue[1] is not local.done and is_mine(queue[0])]
        _queues[:] = [queue for queue in _queues if not any(queue is other for other in ended)]
    return [done for _, done in ended]


def dropped(model: Model) -> None:
    """The program dropped a model: what its gradients showed that no update followed is written."""
    _release(model.number)
    step = _open.pop(model.number, None)
    if step is not None:
        _write(step, partly=True)
    local.forwards[:] = [event for event in local.forwards if event.model is not model]
    local.unwritten[:] = [event for event in local.unwritten if event.model is not model]


def finish() -> None:
    """The program ends: write what gradients were never followed by an update, too."""
    if any(event.model is not None and event.model.number in _put_in for event in local.unwritten):
        put_in()
    flush()
    for step in list(_open.values()):
        _write(step, partly=True)
    _open.clear()


def _ready(step: Step) -> bool:
    """May this step be written now without computing what the program has not computed?"""
    return step.in_full or step.update is None or _is_computed(step.update.arrays)


def _is_computed(arrays: Any) -> bool:
    """Were these arrays computed by the program? True where there are none."""
    return all(map(computed, reversed(trees.leaves(arrays))))  # first come token ids, which always are


def _write(step: Step, partly: bool = False, boundary: bool = False) -> None:
    """Write the rows of a step. Beside those that are kept, nothing is computed but updates at a boundary."""
    with watch.looking("steps"):
        wanted = [gradient.arrays for gradient in step.gradients if gradient.in_full]
        if step.update is not None and (step.in_full or boundary):
            wanted.append(step.update.arrays)
            _forced[step.model.number] = max(_forced.get(step.model.number, 0), step.number)
        with contextlib.suppress(Exception):  # what cannot be computed is seen where it is read
            if wanted:
                mx().eval(wanted)
        for event in step.gradients:
            if not event.in_full:
                _only_computed(event)
        if step.update is not None and not (step.in_full or boundary or _ready(step)):
            step.update.arrays = {}
        for function in moments.steps:
            with watch.looking(f"{function.__module__.rpartition('.')[2]} of a step"):
                function(step, partly)
        step.gradients.clear()


def _only_computed(event: Event) -> None:
    """Leave what the program computed of a gradient.

    It may have computed the loss alone, and dropped the gradient itself.
    """
    arrays = event.arrays
    taps, value = arrays["taps"], arrays.get("value")
    whole = all(map(_is_computed, taps)) and _is_computed(None if taps else arrays["small"])
    if not whole:
        arrays.update(taps=[], small={})
        event.unread = True
        if value is not None and not computed(value):
            arrays.update(prints=[], before=[])
            del arrays["value"]
    arrays["before"] = list(filter(_is_computed, arrays["before"]))
