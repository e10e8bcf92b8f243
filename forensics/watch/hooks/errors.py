"""Exceptions out of calls that are watched: the innermost call names them.

Whether the program went on is seen later.
"""

from __future__ import annotations

import functools
import sys
import threading  # hooks are put on the module itself
import types
from collections.abc import Callable
from types import TracebackType
from typing import Any

from .. import changes
from ..models import Model
from ..moments import Moments
from ..originals import time
from ..places import HERE, where
from ..proxy import Proxy
from ..run import watch
from ..wrapping import HIDDEN, unseen, wrap

_pending: list[dict[str, Any]] = []  # raised, and not yet known whether anybody catches it


def note(error: BaseException, call: str) -> None:
    """An exception leaves a watched call.

    An enclosing call that sees the same exception is not another error.
    """
    if not watch.on or watch.local.quiet:
        return
    with watch.looking("error"):
        if not any(each["id"] == id(error) for each in _pending):
            settle()
            text = str(error)[:500]
            _pending.append({
                "id": id(error), "time": time.time(), "type": type(error).__name__, "message": text,
                "call": call, "place": where(), "model": _model(call),
            })  # fmt: skip


def _model(call: str) -> str | None:
    """With one model there is no doubt whose call it was."""
    alone: Model | None = watch.models[0] if len(watch.models) == 1 else None
    return alone.number if alone else None


def settle(last: BaseException | None = None) -> None:
    """The program goes on, so what was raised was caught.

    At the end `last` is the exception that ends it, if one does.
    """
    ids = set()
    while last is not None and id(last) not in ids:
        ids.add(id(last))
        last = last.__cause__ or last.__context__
    while _pending:
        error = _pending.pop(0)
        caught = error["id"] not in ids
        detail = {"type": error["type"], "message": error["message"], "call": error["call"], "caught": caught}
        watch.row(
            "events",
            time=error["time"],
            kind="error",
            model=error["model"],
            detail=detail,
            place=error["place"],
        )


def guarded(call: str) -> Callable[..., Any]:
    """A maker of wrappers that only notes what is raised."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @unseen
        def function(*args: Any, **kwargs: Any) -> Any:
            if _pending and watch.on and not watch.local.quiet:
                settle()
            try:
                return original(*args, **kwargs)
            except Exception as error:
                note(error, call)
                raise

        return function

    return make


def _guard_result(call: str) -> Callable[..., Any]:
    """For a function that returns a function (value_and_grad): the returned one is guarded."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        guard = guarded(call)

        def function(*args: Any, **kwargs: Any) -> Any:
            wrapped = original(*args, **kwargs)
            return (
                functools.wraps(wrapped)(guard(wrapped))
                if isinstance(wrapped, types.FunctionType)
                else Proxy(wrapped, guard(wrapped))
            )

        return function

    return make


# -- traceback without us ------------------------------------------------------------------------------------


def _without_us(error: BaseException | None, seen: set[int] | None = None) -> None:
    """Take the frames of the wrappers out of an exception's traceback.

    It then prints as it would without them.
    """
    seen = set() if seen is None else seen
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    error.__traceback__ = _pruned(error.__traceback__)
    _without_us(error.__cause__, seen)
    _without_us(error.__context__, seen)


def _pruned(trace: TracebackType | None) -> TracebackType | None:
    first = trace
    while first is not None and _is_ours(first):
        first = first.tb_next
    each = first
    while each is not None:
        while each.tb_next is not None and _is_ours(each.tb_next):
            each.tb_next = each.tb_next.tb_next
        each = each.tb_next
    return first


def _is_ours(trace: TracebackType) -> bool:
    file = trace.tb_frame.f_code.co_filename
    return file == HIDDEN or file.startswith(HERE)


def _print_without_us() -> None:
    """Stand before the hooks that print uncaught exceptions; what they print stays theirs."""
    previous, thread_previous = sys.excepthook, threading.excepthook

    def excepthook(kind: Any, error: Any, trace: Any) -> None:
        try:
            _without_us(error)
            trace = error.__traceback__
        except Exception:  # noqa: BLE001, S110
            pass
        previous(kind, error, trace)

    def thread_excepthook(arguments: Any) -> None:
        try:
            _without_us(arguments.exc_value)
            arguments = type(arguments)(
                (arguments.exc_type, arguments.exc_value, arguments.exc_value.__traceback__, arguments.thread)
            )
        except Exception:  # noqa: BLE001, S110
            pass
        thread_previous(arguments)

    changes.put(sys, "excepthook", excepthook)
    changes.put(threading, "excepthook", thread_excepthook)


def _core(module: Any) -> None:
    for name in ("value_and_grad", "grad"):
        wrap(module, name, _guard_result(f"mx.{name}"))
    for name in ("load", "save_safetensors", "savez", "save_gguf"):
        wrap(module, name, guarded(f"mx.{name}"))


def _nn(module: Any) -> None:
    wrap(module, "value_and_grad", _guard_result("nn.value_and_grad"))
    for name in ("load_weights", "save_weights"):
        wrap(module.Module, name, guarded(f"Module.{name}"))


def _functions(prefix: str, *names: str) -> Callable[[Any], None]:
    def hook(module: Any) -> None:
        for name in names:
            wrap(module, name, guarded(f"{prefix}.{name}"))

    return hook


def _optimizers(module: Any) -> None:
    for name in ("update", "apply_gradients"):
        wrap(module.Optimizer, name, guarded(f"Optimizer.{name}"))
    wrap(module, "clip_grad_norm", guarded("clip_grad_norm"))


def install(run: Moments) -> None:
    run.on_end(settle)  # before a boundary takes what is pending for caught
    run.on_boundary(settle)
    _print_without_us()
    run.patch("mlx.core", _core)
    run.patch("mlx.nn", _nn)
    run.patch("mlx.optimizers", _optimizers)
    run.patch(
        "mlx_lm.utils", _functions("mlx_lm", "load", "load_model", "load_tokenizer", "save", "save_model")
    )
    run.patch("mlx_lm.tuner.utils", _functions("mlx_lm", "linear_to_lora_layers", "load_adapters"))
    run.patch("mlx_lm.tuner.trainer", _functions("mlx_lm", "train", "evaluate"))
    run.patch("mlx_lm.generate", _functions("mlx_lm", "generate", "batch_generate"))
