"""Conversion to adapters, and fusing them.

What was asked for, and what the model's structure says came of it.
"""

from __future__ import annotations

import dis
from collections.abc import Callable
from types import CodeType
from typing import Any

from .. import trees
from ..capture import boundaries, points
from ..models import Model
from ..moments import Moments
from ..originals import getframe, time
from ..places import is_users, where
from ..run import watch
from ..training.writes import root_of
from ..wrapping import bound, wrap
from . import adapterspec

_READ = {"rank", "scale", "dropout", "keys"}  # what linear_to_lora_layers reads of its config
_ADAPTERS = ("LoRALinear", "LoRASwitchLinear", "LoRAEmbedding", "DoRALinear", "DoRAEmbedding")
_BASES = (
    "Linear",
    "QuantizedLinear",
    "Embedding",
    "QuantizedEmbedding",
    "SwitchLinear",
    "QuantizedSwitchLinear",
)

_WALKS = (
    "named_modules",
    "modules",
    "children",
    "leaf_modules",
    "apply_to_modules",
    "filter_and_map",
    "update_modules",
)
_MAKERS = {*_ADAPTERS, "from_base", "from_linear", "to_lora"}

_walked: list[str | None] = []  # places in code that makes adapters and walks modules
_making: dict[CodeType, bool] = {}
_built: list[
    tuple[str, str | None]
] = []  # (class, place) of adapter layers made outside a conversion function
_fusing: dict[str, Any] = {}  # the series of fuse() calls under way


def _linear_to_lora_layers(original: Callable[..., Any]) -> Callable[..., Any]:
    def linear_to_lora_layers(*args: Any, **kwargs: Any) -> Any:
        if not watch.observing:
            return original(*args, **kwargs)
        call: dict[str, Any] = {}
        before, candidates = (0, 0), 0
        with watch.looking("linear_to_lora_layers"):
            if not watch.local.library:
                boundaries.boundary("convert")
            call = bound(original, args, kwargs)
            before, candidates = trees.adapters(call["model"]), _candidates(call["model"])
            if not watch.local.library:
                points.track(call["model"])
        ok = False
        try:
            with watch.within("library"):
                result = original(*args, **kwargs)
            ok = True
            return result
        finally:
            with watch.looking("linear_to_lora_layers"):
                _converted(call, before, candidates, ok)

    return linear_to_lora_layers


def _converted(call: dict[str, Any], before: tuple[int, int], candidates: int, ok: bool) -> None:
    config = call.get("config")
    config = config if isinstance(config, dict) else {}
    kind = "dora" if call.get("use_dora") else "lora"
    keys = config.get("keys")
    requested = {
        **{
            key: config[key]
            for key in ("rank", "scale", "alpha", "dropout")
            if isinstance(config.get(key), (int, float))
        },
        "num_layers": call.get("num_layers"),
        "keys": sorted(map(str, keys)) if keys is not None else None,
        "kind": kind,
    }
    after = trees.adapters(call["model"])
    record = points.model(call["model"]) if not watch.local.library else watch.record_of(call["model"])
    watch.event(
        "convert", record, None, via="load_adapters" if watch.local.library else "linear_to_lora_layers",
        requested=requested, unknown=sorted(set(config) - _READ), candidates=candidates,
        adapted_before=before[0], adapted_after=after[0], nested_after=after[1], ok=ok,
    )  # fmt: skip
    if not watch.local.library:
        adapterspec.settings(
            {**config, "num_layers": call.get("num_layers"), "use_dora": kind == "dora"},
            "call",
            where(),
            certain=True,
        )
        if record and ok:
            points.adapted(record.module)


def _candidates(model: Any) -> int:
    return sum(type(module).__name__ in _BASES for _, module in trees.modules(model))


def _adapter_init(original: Callable[..., Any]) -> Callable[..., Any]:
    """An adapter layer was made: by a conversion function, or by hand."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if watch.observing and not watch.local.library:
            with watch.looking("adapter made"):
                _built.append((type(self).__name__, where()))

    return __init__


def _by_hand(record: Model, before: tuple[int, int], after: tuple[int, int]) -> None:
    """Say what adapters came, or were only made, without a conversion function; called before an update."""
    if after == before == (0, 0) and not _built:
        _found_nothing(record)
    if after != before or _built:
        kinds = sorted({kind for kind, _ in _built})
        watch.event(
            "convert", record, _built[0][1] if _built else None, via="by hand", requested={},
            made=len(_built), classes=kinds, candidates=_candidates(record.module), adapted_before=before[0],
            adapted_after=after[0], nested_after=after[1],
        )  # fmt: skip
        _built.clear()


def _walk(original: Callable[..., Any]) -> Callable[..., Any]:
    """A walk over modules, from code that makes adapters of what it finds."""

    def walk(self: Any, *args: Any, **kwargs: Any) -> Any:
        if watch.observing and not watch.local.library:
            with watch.looking("walk"):
                frame = getframe(1)
                if is_users(frame.f_code.co_filename) and _makes(frame.f_code):
                    _walked.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        return original(self, *args, **kwargs)

    return walk


def _makes(code: CodeType) -> bool:
    """Does this code name what makes an adapter, other than to import it?

    Of a script or class, only what it runs itself counts.
    """
    known = _making.get(code)
    if known is None:
        named = any(i.argval in _MAKERS and i.opname.startswith("LOAD") for i in dis.get_instructions(code))
        inner = [
            constant
            for constant in code.co_consts
            if isinstance(constant, CodeType) and (constant.co_name[0] == "<" or code.co_name[0] != "<")
        ]
        known = _making[code] = named or any(map(_makes, inner))
    return known


def _found_nothing(record: Model | None = None) -> None:
    """Such a walk ended, and no adapter was made."""
    if _walked:
        candidates = _candidates(record.module) if record else None
        watch.event(
            "convert", record, _walked[0], via="walk", requested={}, made=0, candidates=candidates,
            adapted_before=0, adapted_after=0, nested_after=0,
        )  # fmt: skip
        _walked.clear()


def _at_exit() -> None:
    if not _built and not any(
        trees.adapters(model.module)[0] for model in watch.models if model.module is not None
    ):
        _found_nothing()


def _nn(module: Any) -> None:
    for name in _WALKS:
        wrap(module.Module, name, _walk)


def _fuse(original: Callable[..., Any]) -> Callable[..., Any]:
    """The fuse() of one adapter layer: a series of these calls is one fuse event."""

    def fuse(self: Any, *args: Any, **kwargs: Any) -> Any:
        outer = watch.observing and not watch.local.library
        if outer:
            with watch.looking("fuse"):
                _begin(self, bool(bound(original, (self, *args), kwargs).get("dequantize")))
        result = original(self, *args, **kwargs)
        if outer:
            _fusing["modules"] = _fusing.get("modules", 0) + 1
        return result

    return fuse


def _begin(layer: Any, dequantize: bool) -> None:
    if not _fusing:
        boundaries.boundary("fuse")
        root, _ = root_of(layer)
        _fusing.update(
            model=watch.record_of(root), time=time.time(), place=where(), dequantize=dequantize, modules=0
        )


def _fused() -> None:
    """The series is over: the next safe moment has come."""
    if _fusing.get("modules"):
        record = _fusing["model"]
        watch.row(
            "events", time=_fusing["time"], kind="fuse", model=record.number if record else None,
            place=_fusing["place"],
            detail={"via": "fuse", "dequantize": _fusing["dequantize"], "modules": _fusing["modules"]},
        )  # fmt: skip
        _fusing.clear()


def _classes(module: Any) -> None:
    for name in _ADAPTERS:
        cls = getattr(module, name, None)
        if isinstance(cls, type) and cls.__module__ == module.__name__:
            wrap(cls, "__init__", _adapter_init)
            wrap(cls, "fuse", _fuse)


def install(run: Moments) -> None:
    run.on_phase(_by_hand)
    run.on_boundary(_fused)
    run.on_exit(_at_exit)
    run.patch("mlx.nn", _nn)
    run.patch("mlx_lm.tuner.lora", _classes)
    run.patch("mlx_lm.tuner.dora", _classes)
    run.patch(
        "mlx_lm.tuner.utils", lambda module: wrap(module, "linear_to_lora_layers", _linear_to_lora_layers)
    )
