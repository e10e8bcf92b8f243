"""Where the value of the loss decides what the program does.

A cure at the logits leaves that value as it was.

A loss that the program reads is a number that notes the line at which it is compared, and how that came out;
saves and the end note after how many updates they came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from ..moments import Moments
from ..places import where
from ..run import watch
from ..wrapping import wrap
from . import loops

_MOST = 10_000  # rows
_HELD = 256  # losses
_COMPARED = ("__lt__", "__le__", "__gt__", "__ge__")
_KEEPS = (
    "__add__",
    "__radd__",
    "__sub__",
    "__rsub__",
    "__mul__",
    "__rmul__",
    "__truediv__",
    "__neg__",
    "__round__",
)
_ARRAY = (
    "mean",
    "sum",
    "astype",
    "reshape",
    "squeeze",
    "__add__",
    "__radd__",
    "__mul__",
    "__rmul__",
    "__truediv__",
    "__neg__",
)

_losses: deque[Any] = deque(maxlen=_HELD)
_ids: set[int] = set()
_rows = [0]


def _is_loss(array: Any) -> bool:
    return id(array) in _ids


def _remember(array: Any) -> None:
    if _is_loss(array):
        return
    if len(_losses) == _HELD:
        _ids.discard(id(_losses[0]))
    _losses.append(array)
    _ids.add(id(array))


def _note(kind: str, outcome: bool | None, place: str | None = None) -> None:
    if watch.on and not watch.local.quiet and _rows[0] < _MOST:
        _rows[0] += 1
        watch.row("decisions", kind=kind, place=place or where(), outcome=outcome, step=loops.done())


class Loss(float):
    """The value of a loss. What is computed from it is one as well."""

    __hash__ = float.__hash__

    def __reduce__(self) -> Any:
        return float, (float(self),)


def _compared(name: str) -> Callable[[Loss, Any], Any]:
    of = getattr(float, name)

    def compare(self: Loss, other: Any) -> Any:
        found = of(self, other)
        if found is not NotImplemented:
            _note("compare", bool(found))
        return found

    return compare


def _as_loss(name: str) -> Callable[..., Any]:
    of = getattr(float, name)

    def compute(self: Loss, *args: Any) -> Any:
        found = of(self, *args)
        return Loss(found) if isinstance(found, float) else found

    return compute


for _name in _COMPARED:
    setattr(Loss, _name, _compared(_name))
for _name in _KEEPS:
    setattr(Loss, _name, _as_loss(_name))


# -- arrays --------------------------------------------------------------------------------------------------


def _item(original: Callable[..., Any]) -> Callable[..., Any]:
    def item(self: Any) -> Any:
        found = original(self)
        read = type(found) is float and not watch.local.quiet and _is_loss(self)
        return Loss(found) if read else found

    return item


def _array_compared(original: Callable[..., Any]) -> Callable[..., Any]:
    def compare(self: Any, other: Any) -> Any:
        found = original(self, other)
        if not watch.tracing and not watch.local.quiet and _is_loss(self) and found is not NotImplemented:
            with watch.looking("a loss that is compared"):
                outcome = bool(found.item())
            _note("compare", outcome)
        return found

    return compare


def _derived(original: Callable[..., Any]) -> Callable[..., Any]:
    def derive(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = original(self, *args, **kwargs)
        if found is not NotImplemented and _is_loss(self):
            _remember(found)
        return found

    return derive


def _save(original: Callable[..., Any]) -> Callable[..., Any]:
    def save_safetensors(*args: Any, **kwargs: Any) -> Any:
        _note("save", None)
        return original(*args, **kwargs)

    return save_safetensors


def _number(dumper: Any, value: Loss) -> Any:
    return dumper.represent_float(float(value))


def _core(module: Any) -> None:
    array = module.array
    wrap(array, "item", _item)
    for name in _COMPARED:
        wrap(array, name, _array_compared)
    for name in _ARRAY:
        wrap(array, name, _derived)
    wrap(module, "save_safetensors", _save)


def _ended() -> None:
    watch.row("decisions", kind="end", place=loops.last(), outcome=None, step=loops.done())


def install(run: Moments) -> None:
    loops.on_loss(_remember)
    run.on_exit(_ended)
    run.patch("mlx.core", _core)
    run.patch("yaml", lambda module: module.SafeDumper.add_representer(Loss, _number))
