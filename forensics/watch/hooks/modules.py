"""Changes to a module's trainable set and its parameters, outside an optimizer."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Literal

from .. import trees
from ..capture import phases
from ..moments import Moments
from ..originals import getframe
from ..run import watch
from ..training import casts, replaced, steps
from ..training.writes import root_of, wrote
from ..wrapping import wrap
from . import adapterspec

_LOOKS = (
    3  # gradient functions at whose making declarations are looked for; some programs make one at each step
)

_made = itertools.count()


def _trainable_set(kind: Literal["freeze", "unfreeze"]) -> Callable[..., Any]:
    """freeze and unfreeze: how many tensors of the whole model were trainable before and after."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def change(self: Any, *args: Any, **kwargs: Any) -> Any:
            if not watch.observing or watch.local.library:
                return original(self, *args, **kwargs)
            root, path, before = self, "", 0
            with watch.looking(kind):
                root, path = root_of(self)
                before = len(trees.trainable(root))
            result = original(self, *args, **kwargs)
            with watch.looking(kind):
                keys = kwargs.get("keys")
                names: list[str] | None = [keys] if isinstance(keys, str) else list(keys) if keys else None
                after = len(trees.trainable(root))
                watch.event(
                    kind,
                    watch.record_of(root),
                    None,
                    module=path,
                    keys=names,
                    trainable_before=before,
                    trainable_after=after,
                )
            return result

        return change

    return make


def _writer(via: str) -> Callable[..., Any]:
    """Module.update, apply and set_dtype.

    mlx itself calls update for optimizers and gradients: those are not writes.
    """

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def write(self: Any, *args: Any, **kwargs: Any) -> Any:
            given = args[0] if args else kwargs.get("parameters")
            if watch.local.mapped is not None and watch.local.mapped[0] is self:
                _before_cast(self, watch.local.mapped[1], given)
            if (
                not watch.on
                or watch.local.quiet
                or watch.local.library
                or watch.local.gradient
                or _from_mlx(getframe(1))
            ):
                return original(self, *args, **kwargs)
            put_in = via == "Module.update" and _is_result(given)
            if watch.tracing or put_in:
                result = original(self, *args, **kwargs)
                with watch.looking(via):
                    _applied(self, given, put_in)
                return result
            if not watch.record_of(self):
                return original(self, *args, **kwargs)
            phases.before_write(self)
            before = _arrays(self)
            if via == "Module.update":
                _before_cast(self, before, given)
            else:
                watch.local.mapped = (self, before)
            try:
                with watch.within("library"):
                    result = original(self, *args, **kwargs)
            finally:
                watch.local.mapped = None
            with watch.looking(via):
                after = _arrays(self)
                cast = casts.happened(self, before, after)
                if not cast and (record := watch.record_of(self)) is not None:
                    replaced.wrote(record, before, after)
                wrote(
                    self,
                    via,
                    [name for name, _ in trees.flatten(given)] if via == "Module.update" else list(after),
                    same=bool(before) and casts.ids(before) == casts.ids(after),
                    cast=cast,
                )
            return result

        return write

    return make


def _before_cast(module: Any, before: dict[str, Any], given: Any) -> None:
    watch.local.mapped = None
    if casts.would(before, given):
        phases.before_cast(module)


def _arrays(module: Any) -> dict[str, Any]:
    with watch.looking("a write"):
        return dict(trees.flatten(module.parameters()))
    return {}


def _is_result(given: Any) -> bool:
    """Is it what apply_gradients returned, or the copy of master weights that stand in a wider type?"""
    return phases.is_applied(given) or bool(steps.local.unwritten) and phases.is_cast(given)


def _applied(module: Any, given: Any, put_in: bool) -> None:
    """What apply_gradients returned is in place, where that is what was `put_in`.

    Or a function that is compiled updates parameters by hand.
    """
    record = watch.record_of(module)
    if put_in:
        steps.put_in()
    elif record is not None and steps.follows_gradient(record):
        steps.emit(steps.by_hand(record, [name for name, _ in trees.flatten(given)]))
    if record is not None and not watch.tracing:
        replaced.put_in(record)


def _from_mlx(frame: Any) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] in ("mlx", "mlx_lm", "_forensics_watch")


def _value_and_grad(original: Callable[..., Any]) -> Callable[..., Any]:
    def value_and_grad(*args: Any, **kwargs: Any) -> Any:
        if watch.observing:
            phases.gradient_made(args[0] if args else kwargs.get("model"))
            if next(_made) < _LOOKS:
                adapterspec.look()  # a program that fails before its first update has declared its adapter
        return original(*args, **kwargs)

    return value_and_grad


def _nn(module: Any) -> None:
    wrap(module.Module, "freeze", _trainable_set("freeze"))
    wrap(module.Module, "unfreeze", _trainable_set("unfreeze"))
    for name in ("update", "apply", "set_dtype"):
        wrap(module.Module, name, _writer(f"Module.{name}"))
    wrap(module, "value_and_grad", _value_and_grad)


def install(run: Moments) -> None:
    run.patch("mlx.nn", _nn)
