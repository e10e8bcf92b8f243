"""Updates of parameters by an optimizer, compiled or not: their numbers, and the step's rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import trees
from ..capture import facts, phases, registry
from ..models import Model
from ..moments import Moments
from ..originals import math, statistics, threading
from ..places import where
from ..run import watch
from ..training import replaced, rows, steps
from ..training.event import Event, Step
from ..training.norms import Norms, Plan, held_back, norms, plan
from ..training.subjects import model_of
from ..training.writes import wrote
from ..trees import mx
from ..wrapping import wrap, wrap_methods
from . import stop
from .gradients import few


class _Local(threading.local):
    depth = 0
    module: Any = None  # what Optimizer.update is updating
    event: Event | None = None  # the update that apply_gradients prepared


_local = _Local()
_said: set[tuple[str, str]] = set()
_plans: dict[tuple[str, str | None], Plan] = {}  # by optimizer and model


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
                replaced.before_update(record)
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
        given = _Given(args[0] if args else kwargs.get("gradients"))
        record: Model | None = None
        with watch.looking("apply_gradients"):
            parameters = args[1] if len(args) > 1 else kwargs.get("parameters")
            record = model_of(parameters, always=True) if alone else _local.module[0]
            given.read(parameters)
            if alone and record is not None and not watch.tracing:
                replaced.before_update(record)
                phases.before_update(record.module, optimizer=self)
        _local.depth += 1
        try:
            result = original(self, *args, **kwargs)
        finally:
            _local.depth -= 1
        with watch.looking("apply_gradients"):
            return _observed(self, record, given, result, alone)
        return result

    return apply_gradients


class _Given:
    """What an optimizer was given: the leaves of the gradients' tree, and the parameters there."""

    def __init__(self, gradients: Any) -> None:
        self.tree = gradients
        self.gradients: list[Any] = []
        self.old: list[Any] = []
        self.named: dict[str, Any] = {}  # parameters by name, where they do not stand as the gradients do

    def read(self, parameters: Any) -> None:
        self.gradients = trees.leaves(self.tree)
        try:
            self.old = trees.beside(self.tree, parameters)
        except (KeyError, IndexError, TypeError, AttributeError):
            self.named = dict(trees.flatten(parameters))

    def matched(self, result: Any) -> tuple[list[str], list[Any], bool]:
        """Paths and new arrays that have a gradient and an old array, and whether their order was the same.

        An optimizer made of several may put its parts together in an order of its own: there the arrays are
        matched by name, and gradients and old arrays put into that order.
        """
        paired, grads = list(trees.flatten(result)), dict(trees.flatten(self.tree))
        alike = len(self.old) == len(paired) and list(grads) == [path for path, _ in paired]
        if not alike:
            named = self.named or dict(zip(grads, self.old, strict=True))
            paired = [(path, array) for path, array in paired if path in grads and path in named]
            self.gradients, self.old = ([by_name[path] for path, _ in paired] for by_name in (grads, named))
        return [path for path, _ in paired], [array for _, array in paired], alike


def _measured(optimizer: Any, record: Model | None, given: _Given, result: Any) -> tuple[Plan, Norms]:
    """The norms, by a plan of which tensors go together.

    The plan is made anew in kept steps, and where the leaves are no longer those that it was made of.
    """
    key = (registry.used(optimizer).number, record.number if record else None)
    how = None if watch.tracing or record is None or steps.keeping(record) else _plans.get(key)
    new = trees.leaves(result)
    if how is not None and how.alike and len(how.paths) == len(new) == len(given.gradients) == len(given.old):
        try:
            return how, norms(how, given.gradients, new, given.old)
        except ValueError:  # of other shapes than those of the plan
            pass
    paths, new, alike = given.matched(result)
    how = plan(paths, given.gradients, new, given.old)
    how.alike = alike
    how.few = few(given.tree)
    if not watch.tracing:
        _plans[key] = how
    return how, norms(how, given.gradients, new, given.old)


def _observed(optimizer: Any, record: Model | None, given: _Given, result: Any, alone: bool) -> Any:
    how, norms = _measured(optimizer, record, given, result)
    small = trees.some(given.tree, how.few)
    arrays: dict[str, Any] = {"gradient": norms.gradient, "update": norms.update, "small": small}
    if watch.tracing or record is None or steps.keeping(record):
        arrays["parameter"] = norms.parameter()
    parameters = held_back(result, [*norms.gradient, *norms.update])
    rate = trees.learning_rate(optimizer)
    if trees.is_array(rate):
        arrays["rate"] = rate
    about = {
        "optimizer": registry.used(optimizer), "class": type(optimizer).__name__, "names": how.names,
        "leaves": how.paths, "rate": rate if isinstance(rate, (int, float)) else None,
        "compiled": watch.tracing, "as_it_came": _as_it_came(record, small),
    }  # fmt: skip
    if steps.local.traces:
        about |= {"old": dict(zip(how.paths, given.old, strict=True)), "new": dict(trees.flatten(parameters))}
    event = Event("update", record, about, arrays, where())
    phases.applied(parameters)
    if not alone:
        _local.event = event
    elif record is not None and isinstance(record.module, trees.Tree):
        if not watch.tracing:
            record.module.tree = parameters
        steps.emit(event)
    elif record is not None:
        steps.await_write(event)
    return parameters


def _as_it_came(record: Model | None, small: dict[str, Any]) -> bool:
    """Was the optimizer given the very arrays that the newest gradient of the model is made of?"""
    newest = steps.newest_gradient(record) if record is not None else None
    came = newest.arrays["small"] if newest is not None else {}
    return bool(small) and all(came.get(name) is array for name, array in small.items())


# -- rows ----------------------------------------------------------------------------------------------------


def applied(event: Event) -> None:
    """An update was applied, now.

    Tell the points of the run, and write an event, once for each pair of model and optimizer.
    """
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
            frozen_leaves=sum(name not in trained for name in leaves), compiled=event.facts["compiled"],
            first=record.updates <= 1,
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
    small = _small(step)
    passed, along = _passed(step, small)
    # <g, S> / <S, S>: 1 where gradients are added up, 1 / n where their mean is applied
    accumulation = small.gs / small.ss if small is not None and step.count > 1 and small.ss > 0 else None
    watch.row(
        "steps", model=step.model.number, step=step.number,
        optimizer=used.number if used is not None else None,
        loss=statistics.fmean(step.losses) if step.losses else None,
        learning_rate=event.facts.get("rate") if rate is None else rate, gradients=step.count,
        functions=_functions(step),
        gradient_norm=_total(gradient), update_norm=_total(update), parameter_norm=_total(parameter),
        nonfinite=len(gradient) - sum(map(math.isfinite, gradient)) if gradient else None,
        accumulation=accumulation, passed=passed, along=along, carried=_carried(step, small),
        **_of_several(step, small),
        seconds=step.seconds, place=event.place, pending=step.pending, replaced=step.replaced,
        **rows.totals(step),
    )  # fmt: skip
    for name, g, u, p in zip(names, gradient, update, parameter, strict=False):
        watch.row(
            "gradients", model=step.model.number, step=step.number, name=name, gradient_norm=_root(g),
            update_norm=_root(u), parameter_norm=_root(p), nonfinite=not math.isfinite(g),
        )  # fmt: skip


def _functions(step: Step) -> int | None:
    """How many gradient functions gave this step's gradients; None where some are written already."""
    numbers = {event.facts.get("function") for event in step.gradients}
    return len(numbers) if len(step.gradients) == step.count and None not in numbers else None


def _numbers(event: Event, key: str) -> list[float]:
    # a number of one parameter, a list of several
    values = [item.tolist() for item in event.arrays.get(key, [])]
    return [number for value in values for number in (value if isinstance(value, list) else [value])]


def _total(squares: list[float]) -> float | None:
    return _root(sum(squares)) if squares else None


def _root(square: float) -> float:
    return math.sqrt(square) if square >= 0 else square  # NaN stays NaN


@dataclass(frozen=True)
class _Small:
    """A few small parameters of one update: g, the gradient applied, and S, the sum of those evaluated.

    `gg`, `gs` and `ss` are the scalar products <g, g>, <g, S> and <S, S>.
    """

    names: list[str]
    applied: list[Any]
    own: list[Any]
    gg: float
    gs: float
    ss: float


def _small(step: Step) -> _Small | None:
    """None where no small parameter was seen in the update and in each of its gradients."""
    assert step.update is not None
    given = step.update.arrays.get("small", {})
    names = [name for name in given if all(name in each for each in step.small)]
    if not names or not step.small or len(step.small) != step.count:  # none: the gradient was another model's
        return None
    core = mx()
    if step.count == 1 and step.update.facts.get("as_it_came"):  # then its norms tell all three
        norms = dict(zip(step.update.facts["names"], _numbers(step.update, "gradient"), strict=True))
        square, arrays = sum(norms[name] for name in names), [given[name] for name in names]
        return _Small(names, arrays, arrays, square, square, square)
    own = [sum(each[name].astype(core.float32) for each in step.small) for name in names]
    applied = [given[name].astype(core.float32) for name in names]
    return _Small(names, applied, own, *_dots((applied, applied), (applied, own), (own, own)))


def _passed(step: Step, small: _Small | None) -> tuple[float | None, float | None]:
    """What became of a step's one gradient S on its way to the optimizer, which received g, in a few small
    parameters. `passed` is |g| / |S|: 1 as it came, 0 where nothing came through. `along` is the cosine of g
    and S: -1 where its sign was turned.
    """
    if step.update is None or step.count != 1 or len(step.small) != 1 or "leaves" not in step.update.facts:
        return None, None
    core, given, leaves = mx(), step.update.arrays.get("small", {}), set(step.update.facts["leaves"])
    # a leaf that the optimizer was not given is a gradient that was left out
    left_out = [
        each.astype(core.float32)
        for name, each in step.small[0].items()
        if name not in given and name not in leaves
    ]
    came, through, dot = (small.ss, small.gg, small.gs) if small else (0.0, 0.0, 0.0)
    came += sum(_dots((left_out, left_out))) if left_out else 0.0
    passed = math.sqrt(through / came) if came > 0 else None
    return passed, dot / math.sqrt(through * came) if passed else None


def _of_several(step: Step, small: _Small | None) -> dict[str, Any]:
    """`of_last` and `of_earlier`: c and d of g = c * L + d * E in a few small parameters.

    L is the last of the step's gradients and E the sum of those before it: both are 1 / n where a mean is
    applied. Nothing where the two do not explain g, or point the same way.
    """
    if small is None or step.count < 2 or not small.gg > 0:
        return {}
    last = [step.small[-1][name].astype(mx().float32) for name in small.names]
    earlier = [whole - own for whole, own in zip(small.own, last, strict=True)]
    ll, ee, le, gl, ge = _dots(
        (last, last), (earlier, earlier), (last, earlier), (small.applied, last), (small.applied, earlier)
    )
    det = ll * ee - le * le
    if not det > _FITS**2 * ll * ee:
        return {}
    c, d = (gl * ee - ge * le) / det, (ge * ll - gl * le) / det
    explained = small.gg - c * gl - d * ge <= _FITS**2 * small.gg
    return {"of_last": c, "of_earlier": d} if explained else {}


_before: dict[str, tuple[dict[str, Any], float]] = {}
"""A model's number -> the small gradients last applied, and how much of its own step's sum was in them."""
_FITS = 0.02  # of a gradient's norm: what sums rounded to bfloat16 leave unexplained, a few times 2^-8


def _carried(step: Step, small: _Small | None) -> float | None:
    """How much of the gradients of earlier updates is in the one applied, in a few small parameters.

    g = c * g_before + k * S, where S is the sum of the step's own gradients: 0 where S alone explains g, 1
    where all that was gathered before is still there. Clipping scales c and k alike and falls out. None where
    nothing of this explains g, or it was not measured.
    """
    assert step.update is not None
    held = _before.pop(step.model.number, None)
    if small is None or not small.ss > 0 or not small.gg > 0:
        return None
    gg, gs, ss = small.gg, small.gs, small.ss
    k, rest = gs / ss, gg - gs * gs / ss
    carried: float | None = 0.0
    if rest > _FITS**2 * gg:
        if held is None or not all(name in held[0] for name in small.names):
            return None
        before = [held[0][name].astype(mx().float32) for name in small.names]
        pp, ps, gp = _dots((before, before), (before, small.own), (small.applied, before))
        det = pp * ss - ps * ps
        if not det > _FITS**2 * pp * ss:
            return None
        c, k = (gp * ss - gs * ps) / det, (gs * pp - gp * ps) / det
        if not k > 0 or gg - c * gp - k * gs > _FITS**2 * gg:
            return None
        carried = c * held[1] / k
    _before[step.model.number] = (step.update.arrays["small"], k)
    return carried


def _dots(*pairs: tuple[list[Any], list[Any]]) -> list[float]:
    """The scalar product of each pair of lists of arrays, all by one reading."""
    parts = [[(x * y).sum() for x, y in zip(a, b, strict=True)] for a, b in pairs]
    values = iter(mx().stack([each for part in parts for each in part]).tolist())
    return [sum(next(values) for _ in part) for part in parts]


def _clip(original: Callable[..., Any]) -> Callable[..., Any]:
    """clip_grad_norm(gradients, max_norm): where it is called, and with which norm, once each."""

    def clip_grad_norm(*args: Any, **kwargs: Any) -> Any:
        if watch.on and not watch.local.quiet:
            with watch.looking("clipping"):
                most, place = args[1] if len(args) > 1 else kwargs.get("max_norm"), where()
                mark = (f"clip {most}" if isinstance(most, (int, float)) else "clip", str(place))
                if mark not in _said:
                    _said.add(mark)
                    norm = float(most) if isinstance(most, (int, float)) else None
                    watch.event("grad", None, place, via="clip_grad_norm", max_norm=norm)
        return original(*args, **kwargs)

    return clip_grad_norm


def _optimizers(module: Any) -> None:
    wrap(module, "clip_grad_norm", _clip)
    wrap_methods(module, module.Optimizer, {"update": _update, "apply_gradients": _apply})


def install(run: Moments) -> None:
    run.on_update(applied)
    run.on_step(write)
    run.patch("mlx.optimizers", _optimizers)
