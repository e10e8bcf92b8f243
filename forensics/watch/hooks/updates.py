"""Updates of parameters by an optimizer, compiled or not: their numbers, and the step's rows."""

from __future__ import annotations

import math
import statistics
import threading
from collections.abc import Callable
from typing import Any

from .. import trees
from ..capture import facts, phases, registry
from ..models import Model
from ..moments import Moments
from ..places import where
from ..run import watch
from ..training import rows, steps
from ..training.norms import norms
from ..training.steps import Event, Step
from ..training.subjects import model_of
from ..training.writes import wrote
from ..trees import mx
from ..wrapping import wrap
from . import stop
from .gradients import small


class _Local(threading.local):
    depth = 0
    module: Any = None  # what Optimizer.update is updating
    event: Event | None = None  # the update that apply_gradients prepared


_local = _Local()
_said: set[tuple[str, str]] = set()


def _update(original: Callable[..., Any]) -> Callable[..., Any]:
    """Optimizer.update(model, gradients)."""

    def update(self: Any, *args: Any, **kwargs: Any) -> Any:
        module = args[0] if args else kwargs.get("model")
        if _local.depth or not watch.on or watch.local.quiet or not steps.open_here():
            return original(self, *args, **kwargs)
        stop.look()
        record = None
        with watch.looking("update"):
            record = model_of(module)
            if record is not None and not watch.tracing:
                phases.before_update(record.module, optimizer=self)
        _local.module, _local.event = (record, module), None
        try:
            result = original(self, *args, **kwargs)
        finally:
            event, _local.module, _local.event = _local.event, None, None
        with watch.looking("update"):
            if event is not None:
                steps.emit(event)
        return result

    return update


def _apply(original: Callable[..., Any]) -> Callable[..., Any]:
    """Optimizer.apply_gradients(gradients, parameters): where the numbers are."""

    def apply_gradients(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _local.depth or not watch.on or watch.local.quiet or not steps.open_here():
            return original(self, *args, **kwargs)
        alone = _local.module is None
        grads: dict[str, Any] = {}
        old: dict[str, Any] = {}
        record: Model | None = None
        with watch.looking("apply_gradients"):
            parameters = args[1] if len(args) > 1 else kwargs.get("parameters")
            record = model_of(parameters, always=True) if alone else _local.module[0]
            grads = dict(trees.flatten(args[0] if args else kwargs.get("gradients")))
            have = dict(trees.flatten(parameters))
            old = {name: have[name] for name in grads if name in have}
            if alone and record is not None and not watch.tracing:
                phases.before_update(record.module, optimizer=self)
        _local.depth += 1
        try:
            result = original(self, *args, **kwargs)
        finally:
            _local.depth -= 1
        with watch.looking("apply_gradients"):
            return _observed(self, record, grads, old, result, alone)
        return result

    return apply_gradients


def _observed(
    optimizer: Any, record: Model | None, grads: dict[str, Any], old: dict[str, Any], result: Any, alone: bool
) -> Any:
    new = dict(trees.flatten(result))
    found = norms(
        {
            name: (grads[name], array, old[name])
            for name, array in new.items()
            if name in grads and name in old
        }
    )
    told = trees.replaced(result, iter([found.told.get(name, array) for name, array in new.items()]))
    arrays: dict[str, Any] = {"gradient": found.gradient, "update": found.update, "small": small(grads)}
    if watch.tracing or record is None or steps.keeping(record):
        arrays["parameter"] = found.parameter()
    rate = getattr(optimizer, "learning_rate", None) if hasattr(type(optimizer), "learning_rate") else None
    if trees.is_array(rate):
        arrays["rate"] = rate
    about = {
        "optimizer": registry.used(optimizer), "class": type(optimizer).__name__, "names": found.names, "leaves": list(grads),
        "rate": rate if isinstance(rate, (int, float)) else None, "compiled": watch.tracing,
    }  # fmt: skip
    if steps.local.traces:
        about |= {"old": old, "new": dict(trees.flatten(told))}
    event = Event("update", record, about, arrays, where())
    phases.applied(told)
    if not alone:
        _local.event = event
    elif record is not None and isinstance(record.module, trees.Tree):
        if not watch.tracing:
            record.module.tree = told
        steps.emit(event)
    elif record is not None:
        steps.await_write(event)
    return told


# -- rows ----------------------------------------------------------------------------------------------------------------


def applied(event: Event) -> None:
    """An update was applied, now: tell the points of the run, and say it once a pair of model and optimizer."""
    record, used = event.model, event.facts.get("optimizer")
    if record is None or record.module is None or (used is None and event.kind != "write"):
        return
    if event.kind == "write":
        if event.facts["compiled"]:
            wrote(
                record.module,
                "tree" if isinstance(record.module, trees.Tree) else "Module.update",
                event.facts["names"],
            )
        return
    assert used is not None
    phases.after_update(record.module, used.here)
    mark = (record.number, used.number)
    if mark not in _said:
        _said.add(mark)
        trained, leaves = trees.trainable(record.module), event.facts["leaves"]
        watch.event(
            "update", record, event.place, optimizer=event.facts["class"], leaves=len(leaves),
            frozen_leaves=sum(name not in trained for name in leaves), compiled=event.facts["compiled"], first=record.updates <= 1,
        )  # fmt: skip


def write(step: Step, partly: bool) -> None:
    """The row in steps, and those in gradients where the step is kept."""
    event = step.update
    if partly or event is None:
        return
    names = event.facts["names"]
    gradient, update, parameter = (_numbers(event, key) for key in ("gradient", "update", "parameter"))
    used = event.facts.get("optimizer")
    rate = facts.number(event.arrays.get("rate"))
    watch.row(
        "steps", model=step.model.number, step=step.number, optimizer=used.number if used is not None else None,
        loss=statistics.fmean(step.losses) if step.losses else None, learning_rate=event.facts.get("rate") if rate is None else rate,
        gradients=step.count, gradient_norm=_total(gradient), update_norm=_total(update), parameter_norm=_total(parameter),
        nonfinite=sum(not math.isfinite(each) for each in gradient) if gradient else None,
        accumulation=_accumulation(step), seconds=step.seconds, place=event.place, **rows.totals(step),
    )  # fmt: skip
    for name, g, u, p in zip(names, gradient, update, parameter, strict=False):
        watch.row(
            "gradients", model=step.model.number, step=step.number, name=name, gradient_norm=_root(g), update_norm=_root(u),
            parameter_norm=_root(p), nonfinite=not math.isfinite(g),
        )  # fmt: skip


def _numbers(event: Event, key: str) -> list[float]:
    told = [
        each.tolist() for each in event.arrays.get(key, [])
    ]  # a number of one parameter, a list of several
    return [number for each in told for number in (each if isinstance(each, list) else [each])]


def _total(squares: list[float]) -> float | None:
    return _root(sum(squares)) if squares else None


def _root(square: float) -> float:
    return math.sqrt(square) if square >= 0 else square  # NaN stays NaN


def _accumulation(step: Step) -> float | None:
    """<g, S>/<S, S> for g the gradient applied and S the sum of those evaluated, over a few small parameters; None for one."""
    assert step.update is not None
    given = step.update.arrays.get("small", {})
    if step.count < 2 or len(step.small) != step.count:
        return None
    core = mx()
    dot = square = 0.0
    for name, g in given.items():
        parts: list[Any] = [each[name] for each in step.small if name in each]
        if len(parts) == step.count:
            total = sum(part.astype(core.float32) for part in parts)
            dot += (g.astype(core.float32) * total).sum().item()
            square += core.square(total).sum().item()
    return dot / square if square > 0 else None


def _optimizers(module: Any) -> None:
    for cls in vars(module).values():
        if isinstance(cls, type) and issubclass(cls, module.Optimizer):
            for name, make in (("update", _update), ("apply_gradients", _apply)):
                if name in vars(cls):
                    wrap(cls, name, make)


def install(run: Moments) -> None:
    run.on_update(applied)
    run.on_step(write)
    run.patch("mlx.optimizers", _optimizers)
