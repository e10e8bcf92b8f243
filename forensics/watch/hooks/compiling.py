"""Compiled functions.

Python runs in them only while they are traced, so what a trace did counts for each call.
"""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import trees
from ..capture import dropped
from ..models import Model
from ..moments import Moments
from ..places import where
from ..proxy import Proxy
from ..run import watch
from ..training import compiled as observed
from ..training import constants, state, steps
from ..training.event import Trace
from ..trees import mx
from ..wrapping import unseen, wrap
from . import stop

_SKIPPED = ("mlx.", "mlx_lm.")  # their own small kernels and samplers; the trainer's step is looked at
_LOOKED = ("mlx_lm.tuner.",)

Read = tuple["weakref.ref[Any]", dict[str, int]]
"""A module, and the ids of its parameters by name as a trace found them."""

functions: list[Function] = []
_rows: dict[int, dict[str, Any]] = {}


@dataclass
class Given:
    """What a compiled function holds of the program: it lives as long as that function, and no longer."""

    inputs: Any
    outputs: Any
    last: Any = None  # see `observed.Seen.call`


class Function:
    """One compiled function of the program: its row of `compiled`."""

    def __init__(self, fun: Any, given: Given, shapeless: bool) -> None:
        self.number = len(functions)
        self.name = str(getattr(fun, "__qualname__", None) or type(fun).__name__)
        self._given, self.shapeless = weakref.ref(given), shapeless
        self.place = where()
        self.calls = self.traces = 0
        self.purpose: str | None = None
        self.model: Model | None = None
        self.state_in_inputs: bool | None = None
        self.state_in_outputs: bool | None = None
        self.random_used = False
        self.random_captured = any(part is mx().random.state for part in state.parts(given.inputs))
        self.training_at_trace: bool | None = None
        self.updates_behind: int | None = None
        self.number_traced: float | None = None
        self.number_later: float | None = None
        self.number_calls = 0
        self.seen = observed.Seen()

    @property
    def inputs(self) -> Any:
        return getattr(self._given(), "inputs", None)

    @property
    def outputs(self) -> Any:
        return getattr(self._given(), "outputs", None)

    def row(self) -> dict[str, Any]:
        return {
            "function": self.number, "name": self.name, "purpose": self.purpose,
            "model": self.model.number if self.model else None, "calls": self.calls, "traces": self.traces,
            "state_in_inputs": self.state_in_inputs, "state_in_outputs": self.state_in_outputs,
            "random_used": self.random_used, "random_captured": self.random_captured,
            "training_at_trace": self.training_at_trace, "updates_behind": self.updates_behind,
            "number_traced": self.number_traced, "number_later": self.number_later,
            "number_calls": self.number_calls, **self.seen.row(), "place": self.place,
        }  # fmt: skip


def _compile(original: Callable[..., Any]) -> Callable[..., Any]:
    def compile(*args: Any, **kwargs: Any) -> Any:
        fun = args[0] if args else kwargs.get("fun")
        if not watch.on or watch.local.quiet or not callable(fun) or _is_kernel(fun):
            return original(*args, **kwargs)
        with watch.looking("compile"):
            rest = dict(zip(("inputs", "outputs", "shapeless"), args[1:], strict=False)) | kwargs
            given = Given(rest.get("inputs"), rest.get("outputs"))
            function = Function(fun, given, bool(rest.get("shapeless")))
            dropped.follow(given, functools.partial(_compared, function))
            traced = _traced(fun, function)
            compiled = (
                original(traced, *args[1:], **kwargs) if args else original(**{**kwargs, "fun": traced})
            )
            functions.append(function)
            watch.event("compile", None, None, function=function.number)
            return Proxy(fun, _called(compiled, fun, function, given))
        return original(*args, **kwargs)

    return compile


def _is_kernel(fun: Any) -> bool:
    home = f"{getattr(fun, '__module__', '')}."
    return home.startswith(_SKIPPED) and not home.startswith(_LOOKED)


def _traced(fun: Callable[..., Any], function: Function) -> Callable[..., Any]:
    """The function that mlx traces in place of `fun`.

    It returns the result, the arrays of what happened, and the trace itself, which comes back with each call.
    """

    @unseen
    def traced(*args: Any, **kwargs: Any) -> Any:
        if observed.asking():
            raise observed.TracedAgain
        trace = Trace(closed=function.shapeless)  # such a function can give no further outputs
        random = mx().random.state
        key = random[0]
        with steps.tracing(trace):
            result = fun(*args, **kwargs)
        arrays: list[Any] = []
        output: Any = None
        with watch.looking("trace"):
            trace.facts["random"] = random[0] is not key
            trace.facts["constants"] = constants.Numbers(fun)
            trace.facts["unknown"] = _unknown(fun)
            output = _described(function, trace, (args, kwargs), result)
            arrays = [event.arrays for event in trace.events]
        return result, arrays, output, trace

    with contextlib.suppress(Exception):
        functools.update_wrapper(traced, fun)
    return traced


def _described(function: Function, trace: Trace, given: Any, result: Any) -> Any:
    """At the end of a trace: what it is for; the tracers that it knows are turned into their places."""
    facts = trace.facts
    state.placed(trace, [given, function.inputs], [result, function.outputs])
    kinds = {event.kind for event in trace.events}
    record = next((event.model for event in trace.events if event.model), facts.get("forward"))
    facts["model"] = record
    facts["purpose"] = (
        "step" if kinds & {"update", "write"}
        else "gradient" if "gradient" in kinds
        else "forward" if "forward" in facts
        else "sampler" if facts["random"]
        else "other"
    )  # fmt: skip
    if record is not None and record.module is not None:
        dropouts = [each.training for _, each in trees.modules(record.module) if trees.dropout(each)]
        facts["training"] = any(dropouts) if dropouts else bool(getattr(record.module, "training", False))
    facts["recipe"] = observed.recipe(facts.pop("call", None), given)
    output = facts.pop("output", None)
    return output if facts["purpose"] == "forward" and not trace.closed else None


def _called(
    compiled: Callable[..., Any], fun: Callable[..., Any], function: Function, given: Given
) -> Callable[..., Any]:
    @unseen
    def call(*args: Any, **kwargs: Any) -> Any:
        if not watch.on:
            return compiled(*args, **kwargs)[0]
        stop.look()
        before: state.Before | None = None
        with watch.looking("compiled function"):
            before = state.Before(function, (args, kwargs)) if not watch.tracing else None
        try:
            result, arrays, _, trace = compiled(*args, **kwargs)
        except BaseException:
            before = None  # the traceback may be kept, and this frame with it
            raise
        with watch.looking("compiled function"):
            function.calls += 1
            if not trace.facts.setdefault("seen", False):
                _first(function, trace)
            _behind(function, trace)
            _frozen(function, fun, trace)
            if before is not None:
                before.after(trace, result)
                if function.purpose == "forward":
                    given.last = observed.call(compiled, trace, args, kwargs)
            steps.replay(trace, arrays)
        return result

    return call


def _first(function: Function, trace: Trace) -> None:
    """After the first call with a new trace."""
    trace.facts["seen"] = True
    function.traces += 1
    function.random_used = function.random_used or bool(trace.facts.get("random"))
    purpose = trace.facts.get("purpose")
    if purpose == "step" or function.purpose is None:
        function.purpose = purpose
    function.model = function.model or trace.facts.get("model")
    if function.training_at_trace is None:
        function.training_at_trace = trace.facts.get("training")
    read, unknown = (trace.facts.pop(name, None) for name in ("read", "unknown"))
    if function.model is None:
        trace.facts["untrained"] = unknown[0] if _built_in(unknown) else None
    elif function.purpose == "forward" and _built_in(read):
        trace.facts["updates"] = function.model.updates  # by then, which is all that its answer knows of


def _unknown(fun: Callable[..., Any]) -> Read | None:
    """The module that a function calls by name before any gradient made it a model, and what it reads."""
    for module in constants.called(fun):
        if trees.is_module(module) and watch.record_of(module) is None:
            return weakref.ref(module), {name: id(array) for name, array in trees.trainable(module).items()}
    return None


def _built_in(read: Read | None) -> bool:
    """Has a trace the weights of this module built in as constants?

    While it is traced, mlx puts others in the place of arrays that are inputs: a parameter that is the same
    object within the trace and after it is none. False: all it reads are inputs, or that is not known.
    """
    module = read[0]() if read is not None else None
    if read is None or module is None:
        return False
    live = trees.trainable(module)
    return any(id(live.get(name)) == was for name, was in read[1].items())


def _behind(function: Function, trace: Trace) -> None:
    """Note the updates that this call's answer does not know of.

    All of them, of a model that was traced before its first gradient made it known.
    """
    untrained = trace.facts.get("untrained")
    if untrained is not None and (known := watch.record_of(untrained())) is not None:
        function.model, trace.facts["updates"], trace.facts["untrained"] = known, 0, None
    updates = trace.facts.get("updates")
    if updates is not None and function.model is not None:
        function.updates_behind = max(function.updates_behind or 0, function.model.updates - updates)


def _frozen(function: Function, fun: Callable[..., Any], trace: Trace) -> None:
    """Note a number that the function names and the program has changed since it was traced."""
    numbers = trace.facts.get("constants")
    now = numbers.changed(fun, function.calls) if numbers is not None else None
    if now is not None:
        function.number_traced, function.number_later = now
        function.number_calls += 1


def _compared(function: Function, given: Given) -> None:
    last, given.last = given.last, None
    if function.purpose == "forward" and function.model is not None and last is not None:
        function.seen.compare(last, given.outputs, function, function.model)


def _write() -> None:
    """Hold compiled forwards against their live model, and write the row of each function that changed."""
    for function in functions:
        given = function._given()
        if given is not None:
            _compared(function, given)
        row = function.row()
        if row != _rows.get(function.number):
            _rows[function.number] = row
            watch.row("compiled", **row)


def install(run: Moments) -> None:
    run.on_boundary(_write)
    run.patch("mlx.core", lambda module: wrap(module, "compile", _compile))
