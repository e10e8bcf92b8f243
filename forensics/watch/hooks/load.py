"""Loading: models, adapters, weights and arrays that came from files."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import changes, trees
from ..capture import boundaries, budget, points, registry, tensors
from ..moments import Moments
from ..originals import json, os
from ..run import watch
from ..stdlib import first
from ..training.writes import root_of, wrote
from ..wrapping import bound, wrap

_COUNTERS = {"step", "learning_rate"}
_ADAPTER_LEAVES = ("lora_a", "lora_b", "m")


def _load(original: Callable[..., Any]) -> Callable[..., Any]:
    """mlx_lm.load: the model comes with its tokenizer, and maybe an adapter."""

    def load(*args: Any, **kwargs: Any) -> Any:
        if not watch.observing:
            return original(*args, **kwargs)
        boundaries.boundary("load")
        with watch.within("library"):
            result = original(*args, **kwargs)
        with watch.looking("load"):
            call = bound(original, args, kwargs)
            model, tokenizer = result[0], result[1]
            config = result[2] if len(result) > 2 and isinstance(result[2], dict) else None
            path = _directory(call.get("path_or_hf_repo") or call.get("repo"), model)
            points.loaded(model, path, tokenizer, _text(call.get("adapter_path")), config)
        return result

    return load


def _load_model(original: Callable[..., Any]) -> Callable[..., Any]:
    def load_model(*args: Any, **kwargs: Any) -> Any:
        if not watch.observing:
            return original(*args, **kwargs)
        if not watch.local.library:
            boundaries.boundary("load")
        with watch.within("library"):
            result = original(*args, **kwargs)
        with watch.looking("load_model"):
            call = bound(original, args, kwargs)
            model = result[0] if isinstance(result, tuple) else result
            config = result[1] if isinstance(result, tuple) and len(result) > 1 else None
            path = _text(call.get("model_path"))
            record = watch.model(model)
            record.path, record.config = path, config
            watch.event(
                "load",
                record,
                None,
                what="model",
                via="load_model",
                path=path,
                lazy=bool(call.get("lazy")),
                strict=call.get("strict"),
            )
            if not watch.local.library:
                points.loaded(model, path, config=config)
        return result

    return load_model


def _load_adapters(original: Callable[..., Any]) -> Callable[..., Any]:
    def load_adapters(*args: Any, **kwargs: Any) -> Any:
        if not watch.observing:
            return original(*args, **kwargs)
        if not watch.local.library:
            boundaries.boundary("load")
        with watch.within("library"):
            result = original(*args, **kwargs)
        with watch.looking("load_adapters"):
            call = bound(original, args, kwargs)
            model, path = call.get("model"), _text(call.get("adapter_path"))
            record = watch.model(model)
            record.adapter_path = path
            names = names_in(os.path.join(path or "", "adapters.safetensors"))
            kind = _fine_tune_type(path)
            watch.event(
                "load",
                record,
                None,
                what="adapter",
                via="load_adapters",
                path=path,
                fine_tune_type=kind,
                **matching(model, names),
            )
            if not watch.local.library:
                points.adapted(model)
        return result

    return load_adapters


def _load_tokenizer(original: Callable[..., Any]) -> Callable[..., Any]:
    def load_tokenizer(*args: Any, **kwargs: Any) -> Any:
        with watch.within("library"):
            result = original(*args, **kwargs)
        if watch.observing and not watch.local.library:
            with watch.looking("load_tokenizer"):
                registry.tokenizer_seen(
                    result, _text(next(iter(bound(original, args, kwargs).values()), None))
                )
        return result

    return load_tokenizer


def _from_pretrained(module: Any) -> None:
    """A tokenizer that the program loads with transformers itself.

    A class method: the wrapper must stay one.
    """
    cls = module.PreTrainedTokenizerBase
    original = vars(cls)["from_pretrained"].__func__

    @functools.wraps(original)
    def from_pretrained(kind: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(kind, *args, **kwargs)
        if watch.observing and not watch.local.library:
            with watch.looking("from_pretrained"):
                registry.tokenizer_seen(
                    result, _text(args[0] if args else kwargs.get("pretrained_model_name_or_path"))
                )
        return result

    changes.put(cls, "from_pretrained", classmethod(from_pretrained))


def _load_arrays(original: Callable[..., Any]) -> Callable[..., Any]:
    """mx.load: remember which file each array lies in."""

    def load(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if watch.observing:
            with watch.looking("mx.load"):
                file = args[0] if args else kwargs.get("file")
                arrays = result[0] if isinstance(result, tuple) else result
                path = _text(file)
                if path and path.endswith(".safetensors") and isinstance(arrays, dict):
                    budget.came_from(path, arrays)
                if not watch.local.library:
                    names = list(arrays) if isinstance(arrays, dict) else []
                    watch.event(
                        "load",
                        None,
                        None,
                        what="arrays",
                        via="mx.load",
                        path=path,
                        names=len(names),
                        from_adapter=_adapter(names),
                        moments=_moments(names),
                    )
        return result

    return load


def _moments(names: list[str]) -> int:
    """How many tensors of an optimizer's state these are, without the counters that each has."""
    return len(set(names) - _COUNTERS) if set(names) >= _COUNTERS else 0


def _load_weights(original: Callable[..., Any]) -> Callable[..., Any]:
    """Module.load_weights: says nothing of names that match no parameter when strict is False."""

    def load_weights(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not watch.observing or watch.local.library:
            return original(self, *args, **kwargs)
        before: set[str] = set()
        with watch.looking("load_weights"):
            before = set(trees.parameters(self))
        with watch.within("library"):
            result = original(self, *args, **kwargs)
        with watch.looking("load_weights"):
            given: Any = args[0] if args else kwargs.get("file_or_weights")
            path = given if isinstance(given, str) else None
            names = names_in(path) if path else [name for name, _ in given]
            root, below = root_of(self)
            record = watch.record_of(root) if below else points.model(self)
            strict = kwargs.get("strict", args[1] if len(args) > 1 else True)
            what = "adapter" if _adapter(names) else "weights"
            watch.event(
                "load",
                record,
                None,
                what=what,
                via="load_weights",
                path=path,
                strict=bool(strict),
                **matching(self, names, before),
            )
            if record:
                record.path = record.path or _home(path, what)
                wrote(root, "load_weights", [f"{below}.{name}" for name in names] if below else names)
        return result

    return load_weights


def matching(model: Any, names: list[str], have: set[str] | None = None) -> dict[str, Any]:
    """How the names of a file fit a model's.

    Matched, unexpected, and adapter tensors that only the model has.
    """
    have = set(trees.parameters(model)) if have is None else have
    given = set(names)
    absent = {name for name in have - given if name.rpartition(".")[2] in _ADAPTER_LEAVES}
    return {
        "names": len(given),
        "matched": len(given & have),
        "unexpected": len(given - have),
        "absent": len(absent) if _adapter(names) else 0,
        "from_adapter": _adapter(names),
    }


def _home(path: str | None, what: str) -> str | None:
    """The model's directory, where these weights are a model's and its configuration lies beside them."""
    home = os.path.dirname(os.path.abspath(path)) if path and what == "weights" else None
    return home if home and os.path.exists(os.path.join(home, "config.json")) else None


def _fine_tune_type(path: str | None) -> str | None:
    """What the configuration beside an adapter says of it; mlx-lm's own default is lora."""
    with contextlib.suppress(OSError, ValueError):
        return str(
            json.loads((Path(path or "") / "adapter_config.json").read_text(encoding="utf-8")).get(
                "fine_tune_type", "lora"
            )
        )
    return None


def _adapter(names: list[str]) -> bool:
    return any("lora_" in name.lower() for name in names)


def names_in(path: str) -> list[str]:
    """The tensor names of a file; empty where it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        if path.endswith(".safetensors"):
            return list(tensors.header(Path(path)))
        if path.endswith(".npz"):
            with first():
                import zipfile  # import time: few programs save such files

            with zipfile.ZipFile(path) as file:
                return [name.removesuffix(".npy") for name in file.namelist()]
    return []


def _directory(named: Any, model: Any) -> str | None:
    """The directory that a model was loaded from: load_model was told it.

    A repository's name stands for itself.
    """
    known = watch.record_of(model)
    return known.path if known and known.path else _text(named)


def _text(path: Any) -> str | None:
    return os.fspath(path) if isinstance(path, (str, os.PathLike)) else None


def _utils(module: Any) -> None:
    wrap(module, "load_model", _load_model)
    wrap(module, "load_tokenizer", _load_tokenizer)
    wrap(module, "load", _load)
    wrap(module, "sharded_load", _load)


def install(run: Moments) -> None:
    run.patch("mlx.core", lambda module: wrap(module, "load", _load_arrays))
    run.patch("mlx.nn", lambda module: wrap(module.Module, "load_weights", _load_weights))
    run.patch("mlx_lm.utils", _utils)
    run.patch("mlx_lm.tuner.utils", lambda module: wrap(module, "load_adapters", _load_adapters))
    run.patch("transformers.tokenization_utils_base", _from_pretrained)
