"""Compares a compiled forward with the model that it stands for, and with itself.

It does so on the arguments of the program's own last call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import trees
from ..capture.isolation import still
from ..generation import promptcheck
from ..models import Model
from ..originals import threading
from ..run import watch
from ..trees import mx
from .event import Trace

_LOOKS = 6  # comparisons of one function
_LARGEST = 1 << 15  # elements of arguments that are held


class TracedAgain(RuntimeError):
    """The function would run the program's Python again: it is not asked."""


class _Local(threading.local):
    asking = False


_local = _Local()


def asking() -> bool:
    """Is it we who call a compiled function now?"""
    return _local.asking


@dataclass(frozen=True)
class _At:
    """The place of an array in the flat arguments of a call."""

    index: int


class _NoRecipeError(ValueError):
    pass


def recipe(call: Any, given: Any) -> Any:
    """How the model was called, with places in `given` for its arrays.

    None where other things than these go in.
    """
    if call is None:
        return None
    places = {id(array): i for i, (_, array) in enumerate(trees.flatten(given))}
    try:
        return _spelled(call, places)
    except _NoRecipeError:
        return None


def _spelled(value: Any, places: dict[int, int]) -> Any:
    if trees.is_array(value):
        if id(value) in places:
            return _At(places[id(value)])
    elif isinstance(value, (list, tuple)):
        return [_spelled(item, places) for item in value]
    elif isinstance(value, dict):
        return {key: _spelled(item, places) for key, item in value.items()}
    elif value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise _NoRecipeError


def _cooked(value: Any, arrays: list[Any]) -> Any:
    if isinstance(value, _At):
        return arrays[value.index]
    if isinstance(value, list):
        return [_cooked(item, arrays) for item in value]
    if isinstance(value, dict):
        return {key: _cooked(item, arrays) for key, item in value.items()}
    return value


# of a compiled function: (itself, its trace, args, kwargs, updates so far)
Call = tuple[Callable[..., Any], Trace, Any, Any, int]


def call(compiled: Callable[..., Any], trace: Trace, args: Any, kwargs: Any) -> Call | None:
    """The program called it: its arguments, held until the next safe moment.

    None for what cannot be called again.
    """
    record = trace.facts.get("model")
    size = sum(array.size for _, array in trees.flatten((args, kwargs)))
    plain = size <= _LARGEST and _is_plain((args, kwargs))
    return (compiled, trace, args, kwargs, record.updates) if plain and record is not None else None


class Seen:
    """What came of asking a compiled forward again."""

    def __init__(self) -> None:
        self.repeat: float | None = None
        self.live: float | None = None
        self.scale: float | None = None
        self._looks = 0

    def row(self) -> dict[str, Any]:
        return {"repeat_difference": self.repeat, "live_difference": self.live, "live_scale": self.scale}

    def compare(self, call: Call, outputs: Any, function: Any, model: Model) -> None:
        """At a safe moment: call it twice more, and the model once, on the same arguments.

        Nothing stays changed by that.
        """
        if call[-1] != model.updates or self._looks >= _LOOKS or model.module is None:
            return
        random = mx().random.state
        if outputs is not None and not all(array is random[0] for _, array in trees.flatten([list(outputs)])):
            return  # it writes into state of the program
        self._looks += 1
        compiled, trace, args, kwargs, _ = call
        with (
            watch.looking("compiled forward"),
            still(model.module, evaluation=not function.training_at_trace),
        ):
            first, second = (_evaluate(compiled, args, kwargs) for _ in range(2))
            self.repeat = _distance(first, second)
            written = trace.facts.get("recipe")
            if first[1] is not None and written is not None and not function.random_used:
                arrays = [array for _, array in trees.flatten((args, kwargs))]
                positional, named = _cooked(written, arrays)
                live = trees.output_array(model.module(*positional, **named))
                self.live, self.scale = (
                    _distance((None, first[1]), (None, live)),
                    float(mx().abs(live.astype(mx().float32)).max().item()),
                )


def _evaluate(compiled: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, Any]:
    """(result, logits within) of one call, computed."""
    _local.asking = True
    try:
        result, _, output, _ = compiled(*args, **kwargs)
        mx().eval(result, output)
        return result, output
    finally:
        _local.asking = False


def _distance(a: Any, b: Any) -> float | None:
    core = mx()
    pairs = [(x, y) for (_, x), (_, y) in zip(trees.flatten(a), trees.flatten(b), strict=True)]
    return max(
        (promptcheck.distance(x.astype(core.float32), y.astype(core.float32)) for x, y in pairs), default=None
    )


def _is_plain(value: Any) -> bool:
    """Nothing in the arguments that a call could change."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return not trees.is_module(value) and all(map(_is_plain, value.values()))
    return value is None or trees.is_array(value) or isinstance(value, (bool, int, float, str))
