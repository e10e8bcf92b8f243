"""mlx-lm's own trainer and evaluation: what they were told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from ..capture import boundaries, facts, points
from ..events import Evaluate
from ..moments import Moments
from ..originals import inspect
from ..places import where
from ..run import watch
from ..training import records
from ..wrapping import bound, wrap
from . import adapterspec, trainingspec

_DECLARED = (
    "iters", "batch_size", "grad_accumulation_steps", "max_seq_length",
    "grad_checkpoint", "val_batches", "steps_per_eval", "steps_per_save",
)  # fmt: skip
_phases: dict[str, int] = {}


def _train(original: Callable[..., Any]) -> Callable[..., Any]:
    def train(*args: Any, **kwargs: Any) -> Any:
        if watch.observing:
            with watch.looking("train"):
                call = bound(original, args, kwargs)
                settings, optimizer = fields(call.get("args")), call.get("optimizer")
                record = points.model(call["model"])
                declared = {key: settings[key] for key in _DECLARED if key in settings} | {
                    "learning_rate": facts.optimizer(optimizer)["learning_rate"],
                    "scheduled": facts.optimizer(optimizer)["scheduled"],
                    "loss": getattr(call.get("loss"), "__name__", None)
                    if _own(call.get("loss"))
                    else "other",
                    "mask_prompt": _masks(call.get("train_dataset")),
                }
                number = record.number if record else ""
                _phases[number] = _phases.get(number, 0) + 1
                watch.event(
                    "train",
                    record,
                    None,
                    via="mlx_lm.train",
                    optimizer=type(optimizer).__name__,
                    declared=declared,
                    phase=_phases[number],
                )
                facts.rows(None, "training", settings)
                _datasets(call)
        return original(*args, **kwargs)

    return train


def _own(loss: Any) -> bool:
    return str(getattr(loss, "__module__", "")).startswith("mlx_lm.")


def _masks(data: Any) -> bool | None:
    """Does a data set say that it masks prompts? mlx-lm's own hold the rows of another in `_data`."""
    for _ in range(4):
        if data is None or isinstance(getattr(data, "mask_prompt", None), bool):
            break
        data = getattr(data, "_data", None)
    return getattr(data, "mask_prompt", None)


def _datasets(call: dict[str, Any]) -> None:
    for key, purpose in (("train_dataset", "train"), ("val_dataset", "valid")):
        if call.get(key) is not None:
            watch.row(
                "datasets",
                source="trainer",
                path=None,
                file=None,
                records=_counted(call[key]),
                purpose=purpose,
                place=where(),
            )


def _counted(data: Any) -> int | None:
    """How many records a list or one of mlx-lm's own data sets holds.

    None of a class of the program's, whose `len` is not asked.
    """
    for _ in range(4):
        if isinstance(data, (list, tuple)):
            return len(data)
        if type(data).__module__.partition(".")[0] != "mlx_lm":
            return None
        data = vars(data).get("_data")
    return None


def _train_model(original: Callable[..., Any]) -> Callable[..., Any]:
    """mlx_lm.lora.train_model(args, ...): the settings of the whole command."""

    def train_model(*args: Any, **kwargs: Any) -> Any:
        if watch.observing:
            with watch.looking("train_model"):
                settings = fields(args[0] if args else kwargs["args"])
                facts.rows(None, "program", settings)
                adapterspec.settings(settings, "argument", where(), certain=True)
                trainingspec.unread(settings, original.__globals__.get("CONFIG_DEFAULTS", {}))
        return original(*args, **kwargs)

    return train_model


def _evaluate(original: Callable[..., Any]) -> Callable[..., Any]:
    def evaluate(*args: Any, **kwargs: Any) -> Any:
        detail: Evaluate | None = None
        if watch.observing:
            with watch.looking("evaluate"):
                call, place = bound(original, args, kwargs), where()
                boundaries.boundary("evaluate", call["model"])
                model = points.model(call["model"])
                detail = {"batches": call.get("num_batches"), "updates": model.updates if model else None}
                args, kwargs = _measured(original, args, kwargs)
        try:
            loss = original(*args, **kwargs)
            if detail is not None and type(loss) is float:
                detail["loss"] = loss
            return loss
        finally:
            if detail is not None:
                with watch.looking("evaluate"):
                    watch.event("evaluate", model, place, **detail)

    return evaluate


def _measured(
    original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call of evaluate, with a loss that remembers the rows that it is given."""
    call = inspect.signature(original).bind(*args, **kwargs)
    call.apply_defaults()
    longest = call.arguments.get("max_seq_length")
    call.arguments["loss"] = records.measuring(
        call.arguments["loss"], longest if type(longest) is int else None
    )
    return call.args, call.kwargs


def _report() -> None:
    """At the end: what was evaluated, and how much of it had been trained on."""
    counts = records.evaluated()
    if counts is not None:
        watch.row("datasets", source="forward", path=None, file=None, purpose="valid", **counts)


def fields(settings: Any) -> dict[str, Any]:
    """The fields of a dataclass, a namespace or a dict."""
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        return {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    if isinstance(settings, dict):
        return settings
    return {} if settings is None or inspect.isclass(settings) else dict(getattr(settings, "__dict__", {}))


def _trainer(module: Any) -> None:
    wrap(module, "train", _train)
    wrap(module, "evaluate", _evaluate)


def install(run: Moments) -> None:
    run.on_exit(_report)
    run.patch("mlx_lm.tuner.trainer", _trainer)
    run.patch("mlx_lm.lora", lambda module: wrap(module, "train_model", _train_model))
