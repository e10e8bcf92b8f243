"""Gradients: which model is differentiated, with respect to what.

And what its forward and backward pass showed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from .. import trees
from ..capture import phases
from ..models import Model
from ..moments import Moments
from ..originals import getframe, threading, time
from ..places import is_users, returns, where
from ..proxy import Proxy
from ..run import watch
from ..training import divergences, gradcheck, handed, masks, steps
from ..training.event import Event, Trace
from ..training.selftest import NotRunError
from ..training.subjects import model_of, of_module
from ..wrapping import unseen, wrap
from . import stop

_SMALL = 1 << 16  # elements of a gradient that is kept to see how several were put together
_FEW = 6

_checked: set[str] = set()  # models whose gradient was held against its loss
_uncalled: dict[
    int, tuple[str, Model | None, str | None]
] = {}  # gradient functions of modules that the program has not called yet


class _Local(threading.local):
    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.called: list[Any] = []
        # the module whose nn.value_and_grad is being made, and the function
        self.making: list[tuple[Any, Any]] = []


_local = _Local()


class Frame:
    """One evaluation of a gradient."""

    def __init__(self, in_full: bool | None) -> None:
        # is every position written? None: not known, this may be another step at each call
        self.in_full = in_full
        # the program's function runs; afterwards comes the backward pass, which may call models again
        self.forward = False
        self.began = time.perf_counter()
        self.traces = len(steps.local.traces)
        self.prints: list[dict[str, Any]] = []  # what tells the logits of its forwards apart
        self.taps_of: list[str] = []  # the model of each tap
        self.logits: list[tuple[str, Any]] = []  # of a kept step: the model, and what it made
        self.given: list[Any] = []  # what the loss was handed that has the form of logits
        self.inputs: list[Any] = []  # what the library's losses in log space were handed
        self.taps: list[dict[str, Any]] = []  # what the backward pass said
        self.detached = False  # a part of its loss is held constant by the program itself
        self.within: set[int] = set()  # taps within a model that has one of its own
        self.covered: set[int] = set()  # taps within a model whose own tap has spoken

    @property
    def open(self) -> bool:
        """May arrays of the forward pass be kept?

        Not those of a function that is compiled within this gradient.
        """
        return self.forward and self.traces == len(steps.local.traces)


def calls(module: Any = None) -> bool:
    """Is this module being called already (through super().__call__)? Without one: is any?"""
    return bool(_local.called) if module is None else any(call is module for call in _local.called)


@contextlib.contextmanager
def calling(module: Any) -> Iterator[None]:
    _local.called.append(module)
    try:
        yield
    finally:
        _local.called.pop()


def frame() -> Frame | None:
    """The gradient under way on this thread, None outside."""
    return _local.frames[-1] if _local.frames else None


class _Function:
    """A gradient function of the program."""

    made = 0

    def __init__(self, via: str, argnums: Any, argnames: Any, module: Any, loss: Any) -> None:
        self.via, self.module, self.loss = via, module, returns(loss)
        self.argnums = [argnums] if isinstance(argnums, int) else list(argnums or ([] if argnames else [0]))
        self.argnames = [argnames] if isinstance(argnames, str) else list(argnames or [])
        self.reported = False
        self.few: dict[str, tuple[Any, ...]] | None = (
            None  # keys of a few small gradients, as of the last kept step
        )
        self.number = _Function.made = _Function.made + 1
        if module is not None:
            _uncalled[self.number] = (via, watch.record_of(module), where())

    def subjects(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """What is differentiated: modules, trees, arrays."""
        by_place = [args[n] for n in self.argnums if -len(args) <= n < len(args)]
        return by_place + [kwargs[name] for name in self.argnames if name in kwargs]

    def model(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Model | None:
        if self.module is not None:
            return of_module(self.module)
        subjects = self.subjects(args, kwargs)
        return next((model for model in map(model_of, subjects) if model), None)

    def say(self, model: Model | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The `grad` event, once."""
        self.reported = True
        _uncalled.pop(self.number, None)
        subjects = self.subjects(args, kwargs)
        whole = self.module is None and any(trees.is_module(subject) for subject in subjects)
        given = [name for subject in subjects for name, _ in trees.flatten(subject)]
        frozen = 0
        if model is not None and model.module is not None and self.module is None:
            trained = trees.trainable(model.module)
            frozen = sum(name not in trained for name in given)
        wrt = "trainable" if self.module is not None else "all" if whole else "arrays"
        if self.module is None and model is not None:
            phases.gradient_made(model.module)
            if wrt == "arrays" and not isinstance(model.module, trees.Tree):
                phases.before_write(model.module)  # p -= ... changes its own arrays, untold
        module = model.module if model is not None else None
        adapters = trees.adapters(module)[0] if trees.is_module(module) else 0
        watch.event(
            "grad", model, None, via=self.via, wrt=wrt, leaves=len(given), frozen_leaves=frozen,
            adapters=adapters,
        )  # fmt: skip
        if self.loss is not None:
            watch.event("loss", model, self.loss)


# -- hooks ---------------------------------------------------------------------------------------------------


def _gradient(via: str) -> Callable[..., Any]:
    """mx.value_and_grad, mx.grad."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def gradient(*args: Any, **kwargs: Any) -> Any:
            fun = args[0] if args else kwargs.get("fun")
            if not watch.on or watch.local.quiet or not callable(fun):
                return original(*args, **kwargs)
            rest = dict(zip(("argnums", "argnames"), args[1:], strict=False)) | kwargs
            module, loss = _local.making[-1] if _local.making else (None, fun)
            spec = _Function(
                "nn.value_and_grad" if module is not None else via,
                rest.get("argnums"),
                rest.get("argnames"),
                module,
                loss,
            )
            inner = Proxy(fun, _forward(fun))
            function = original(inner, *args[1:], **kwargs) if args else original(**{**kwargs, "fun": inner})
            return Proxy(fun, _evaluated(spec, function, fun))

        return gradient

    return make


def _forward(fun: Callable[..., Any]) -> Callable[..., Any]:
    @unseen
    def forward(*args: Any, **kwargs: Any) -> Any:
        now = frame()
        if now is None:
            return fun(*args, **kwargs)
        now.forward = True
        try:
            return fun(*args, **kwargs)
        finally:
            now.forward = False

    return forward


def _evaluated(spec: _Function, function: Callable[..., Any], fun: Callable[..., Any]) -> Callable[..., Any]:
    @unseen
    def call(*args: Any, **kwargs: Any) -> Any:
        if not watch.on or watch.local.quiet or not steps.open_here():
            return function(*args, **kwargs)
        stop.look()
        now, model = Frame(None if watch.tracing else True), None
        before = gradcheck.Before.now() if _asks() else None
        with watch.looking("gradient"):
            model = spec.model(args, kwargs)
            if model is not None and not watch.tracing:
                # a write by hand ends its step once this gradient is there: till then the form stays open
                written = model.number in steps.local.pending_writes
                now.in_full = None if written else steps.keeps_gradient(model)
                now.given = divergences.others(args, kwargs) if now.in_full else []
            if not spec.reported:
                spec.say(model, args, kwargs)
        _local.frames.append(now)
        try:
            with watch.within("gradient"):
                result = function(*args, **kwargs)
        finally:
            _local.frames.pop()
            now.given.clear()  # the frame is held by the functions of its taps
            now.logits.clear()
        with watch.looking("gradient"):
            _finished(spec, now, model or _taught(spec.subjects(args, kwargs), now), result, (args, kwargs))
        if before is not None and model is not None and model.number not in _checked:
            with watch.looking("gradient check"):
                _checked.add(model.number)
                _check(spec, now, model, (fun, args, kwargs, result, before))
        return result

    return call


def _asks() -> bool:
    """Is the program's loss called again, to hold its gradient against it?"""
    return watch.options.get("selftest") == "full" and not watch.tracing and not _local.frames


def _check(spec: _Function, now: Frame, model: Model, made: Any) -> None:
    """The row of `selftests` that holds a gradient against a finite difference of its loss."""
    fun, args, kwargs, result, before = made
    row: dict[str, Any] = {"model": model.number, "test": "gradient", "place": where()}
    began = time.process_time()
    try:
        if spec.via == "mx.grad" or spec.argnums != [0] or spec.argnames or not trees.is_module(model.module):
            raise NotRunError("unseen", "the gradient is taken of something else than a model's parameters")
        value = next((leaf for _, leaf in trees.flatten(result[0]) if leaf.size == 1), None)
        asked = gradcheck.DirectionalLoss(model.module, fun, (args, kwargs), result[1], before)
        row |= gradcheck.compare(asked, float(value.item()))  # type: ignore[union-attr]
        row |= {"detached": now.detached, "seconds": round(time.process_time() - began, 4)}
    except NotRunError as error:
        row |= {"kind": error.kind, "why": error.why}
    except Exception as error:  # noqa: BLE001   the loss is the program's own, and may not be called twice
        row |= {"kind": "unseen", "why": f"{type(error).__name__}: {error}"[:300]}
    watch.row("selftests", **row)


def _stop_gradient(original: Callable[..., Any]) -> Callable[..., Any]:
    """Is a part of the loss held constant on purpose, by the program's own code?"""

    def stop_gradient(*args: Any, **kwargs: Any) -> Any:
        now = frame()
        if now is not None and not watch.local.quiet and is_users(getframe(1).f_code.co_filename):
            now.detached = True
        return original(*args, **kwargs)

    return stop_gradient


def _finished(spec: _Function, now: Frame, model: Model | None, result: Any, given: Any) -> None:
    value, grads = (None, result) if spec.via == "mx.grad" else result
    if spec.few is None or now.in_full is not False:
        spec.few = few(grads)
    small = trees.some(grads, spec.few)
    arrays: dict[str, Any] = {"taps": now.taps, "prints": now.prints, "small": small}
    scalar = next((leaf for _, leaf in trees.flatten(value) if leaf.size == 1), None)
    if scalar is not None:
        arrays["value"] = scalar
    facts: dict[str, Any] = {"via": spec.via, "began": now.began, "function": spec.number}
    if now.in_full and not steps.local.traces:
        args, kwargs = given
        subjects = spec.subjects(args, kwargs)
        facts["mask_left"] = masks.left(masks.handed(args, kwargs, subjects))
        facts["handed"] = handed.numbers(args, kwargs, subjects)
        facts["small"] = handed.small(args, kwargs, subjects)
        handed.log_space(model, now.inputs)
    if model is not None and isinstance(model.module, trees.Tree) and steps.local.traces:
        facts |= {"gradients": dict(trees.flatten(grads)), "old": dict(trees.flatten(model.module.tree))}
    steps.emit(Event("gradient", model, facts, arrays, where()))


def _taught(subjects: list[Any], now: Frame) -> Model | None:
    """Beside modules: a tree of arrays whose gradient goes through a model is what the program trains."""
    tree = next(
        (subject for subject in subjects if isinstance(subject, (dict, list, tuple)) and now.taps), None
    )
    return model_of(tree, always=True) if tree is not None else None


def few(grads: Any) -> dict[str, tuple[Any, ...]]:
    """The keys of a few small gradients, the smallest of each kind of parameter.

    They are enough to tell a sum from a mean.
    """
    core = trees.mx()
    smallest: dict[str, tuple[int, str]] = {}
    for name, leaf in trees.flatten(grads):
        size, kind = leaf.size, name.rpartition(".")[2]
        if (
            1 < size <= _SMALL
            and (kind not in smallest or size < smallest[kind][0])
            and core.issubdtype(leaf.dtype, core.floating)
        ):
            smallest[kind] = (size, name)
    return trees.keys(grads, {name for _, name in sorted(smallest.values(), key=lambda each: each[0])[:_FEW]})


def _nn(original: Callable[..., Any]) -> Callable[..., Any]:
    def value_and_grad(*args: Any, **kwargs: Any) -> Any:
        given = dict(zip(("model", "fn"), args, strict=False)) | kwargs
        _local.making.append((given.get("model"), given.get("fn")))
        try:
            return original(*args, **kwargs)
        finally:
            _local.making.pop()

    return value_and_grad


def _vmap(original: Callable[..., Any]) -> Callable[..., Any]:
    """Arrays inside vmap are of the transformation: nothing may leave it."""

    def vmap(*args: Any, **kwargs: Any) -> Any:
        function = original(*args, **kwargs)

        @unseen
        def call(*a: Any, **k: Any) -> Any:
            with steps.tracing(Trace(closed=True)):
                return function(*a, **k)

        return Proxy(args[0] if args else kwargs.get("fun"), call)

    return vmap


def _report() -> None:
    """A gradient function that was made and never called: the program meant to train."""
    for via, model, place in _uncalled.values():
        watch.event("grad", model, place, via=via, wrt="trainable", calls=0)


def _core(module: Any) -> None:
    wrap(module, "value_and_grad", _gradient("mx.value_and_grad"))
    wrap(module, "grad", _gradient("mx.grad"))
    wrap(module, "vmap", _vmap)
    if watch.options.get("selftest") == "full":
        wrap(module, "stop_gradient", _stop_gradient)


def install(run: Moments) -> None:
    run.on_exit(_report)
    run.patch("mlx.core", _core)
    run.patch("mlx.nn", lambda module: wrap(module, "value_and_grad", _nn))
