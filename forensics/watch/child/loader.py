"""Loads what a run saved, as a fresh program would: by mlx-lm, on the base that it was trained from."""

from __future__ import annotations

import inspect
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import trees
from ..hooks.load import matching, names_in
from ..trees import mx
from . import peft

_ADAPTER_FILE, _ADAPTER_CONFIG = "adapters.safetensors", "adapter_config.json"
_MOST_FILES = 200


class NotLoaded(Exception):
    """What was saved cannot be loaded.

    `detail` says how its names stood to the model's, as far as it came.
    """

    def __init__(self, why: str, detail: dict[str, Any] | None = None) -> None:
        super().__init__(why)
        self.detail = detail or {}


@dataclass
class Loaded:
    """A model in a fresh process."""

    module: Any
    config: dict[str, Any] | None
    tokenizer: Any = None
    tokenizer_path: str | None = None
    path: str | None = None  # the model's directory
    adapter_path: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)  # of the load event


def load(
    base: str | None, saved: str | None, tokenizer: str | None = None, trust: bool | None = None
) -> Loaded:
    """Load `saved` on `base`, with a tokenizer.

    Args:
        base: directory of the model that was trained; None where it was built in memory.
        saved: an adapter's directory or file, a model's directory, a file of weights; None: the base alone.
        tokenizer: directory of the tokenizer, where neither `saved` nor `base` holds one.
        trust: False for a stranger's model: only classes of mlx-lm and transformers are used, whatever its
        files name and whatever the installed version would do. True where the user trusts it. None for what
        the run itself loaded and wrote: as the installed mlx-lm does it, which ran in the program as well.

    Raises:
        NotLoaded: with one line of why.
    """
    place = Path(saved) if saved else None
    if place is not None and not place.exists():
        raise NotLoaded(f"{place.name} is gone")
    _trust.given = trust
    loaded = _base(base) if place is None else _saved(base, place)
    for directory in (place if place is None or place.is_dir() else place.parent, base, tokenizer):
        if directory and (Path(directory) / "tokenizer_config.json").exists():
            from mlx_lm.utils import load_tokenizer

            ends = (loaded.config or {}).get("eos_token_id")
            extra = {} if trust is None else {"trust_remote_code": trust}
            loaded.tokenizer, loaded.tokenizer_path = (
                load_tokenizer(Path(directory), extra, eos_token_ids=ends),
                str(directory),
            )
            break
    return loaded


class _Trust:
    """Whether the model's own code may run; this process loads for one answer to that."""

    given: bool | None = None

    def arguments(self, load_model: Any) -> dict[str, Any]:
        """What `load_model` of any version is told.

        Before 0.32 it ran `model_file` unasked: a setting of ours goes over the file's.
        """
        known = inspect.signature(load_model).parameters
        if self.given:
            return {"trust_remote_code": True} if "trust_remote_code" in known else {}
        if self.given is None:
            return {}
        if "model_config" not in known or "get_model_classes" not in known:
            raise NotLoaded("this mlx-lm cannot be kept from running a model's own code; use 0.19 or later")
        return {"model_config": {"model_file": None}, "get_model_classes": _library_classes}


_trust = _Trust()


def _library_classes(config: dict[str, Any]) -> tuple[Any, Any]:
    """The classes that mlx-lm itself has for a configuration."""
    from mlx_lm import utils

    if not str(config.get("model_type", "")).replace("-", "_").isidentifier():
        raise NotLoaded("config.json names no model type")
    classes = utils._get_classes(config)
    if not all(kind.__module__.startswith("mlx_lm.models.") for kind in classes):
        raise NotLoaded("config.json names a class that is none of mlx-lm's")
    return classes[0], classes[1]


def _saved(base: str | None, place: Path) -> Loaded:
    file = place / peft.FILE if place.is_dir() else place
    if file.name == peft.FILE and file.exists():
        return _peft(base, file.parent)
    if place.is_dir():
        if (place / _ADAPTER_CONFIG).exists() or (place / _ADAPTER_FILE).exists():
            return _adapter(base, place / _ADAPTER_FILE)
        if (place / "config.json").exists():
            return _model(place)
        raise NotLoaded(f"{place.name} holds neither config.json nor {_ADAPTER_CONFIG}")
    if place.suffix not in (".safetensors", ".npz"):
        raise NotLoaded(f"mlx_lm does not load {place.suffix or place.name} files")
    if (place.parent / _ADAPTER_CONFIG).exists() or any("lora_" in name for name in names_in(str(place))):
        return _adapter(base, place)
    return _weights(base, place)


def _model(directory: Path) -> Loaded:
    """A whole model's directory."""
    from mlx_lm.utils import load_model

    try:
        module, config = load_model(directory, **_trust.arguments(load_model))
    except Exception as error:
        raise NotLoaded(_line(error)) from error
    detail = {"what": "model", "path": str(directory)} | _files(directory)
    return Loaded(module, config, path=str(directory), detail=detail)


def _files(directory: Path) -> dict[str, Any]:
    """The files of weights that mlx-lm reads in a model's directory, and how many of their names stand in
    more than one: which value such a tensor gets hangs on the order of reading.
    """
    files = sorted(directory.glob("model*.safetensors"))
    names = [name for file in files for name in names_in(str(file))]
    return {
        "names": len(names),
        "twice": len(names) - len(set(names)),
        "files": [file.name for file in files[:_MOST_FILES]],
    }


def _base(base: str | None) -> Loaded:
    if not base or not Path(base).is_dir():
        raise NotLoaded("the base was built in memory" if not base else "the base's directory is gone")
    return _model(Path(base))


def _adapter(base: str | None, file: Path) -> Loaded:
    """Adapter tensors and the configuration beside them, put on the base.

    This is what `mlx_lm.load(base, adapter_path=...)` does.
    """
    from mlx_lm.tuner.utils import load_adapters

    if not file.exists():
        raise NotLoaded(f"{file.name} is missing")
    if not (file.parent / _ADAPTER_CONFIG).exists():
        raise NotLoaded(f"{_ADAPTER_CONFIG} is missing beside {file.name}: mlx_lm cannot load it")
    loaded = _base(base)
    names = names_in(str(file))
    with tempfile.TemporaryDirectory(prefix="forensics-") as folder:
        directory = _arranged(Path(folder), file) if file.name != _ADAPTER_FILE else file.parent
        detail = {"what": "adapter", "path": str(file)}
        try:
            loaded.module = load_adapters(loaded.module, str(directory))
            loaded.module.eval()
            mx().eval(loaded.module.parameters())  # before the arranged directory goes
        except Exception as error:
            raise NotLoaded(_line(error), detail | matching(loaded.module, names)) from error
    loaded.adapter_path, loaded.detail = str(file.parent), detail | matching(loaded.module, names)
    return loaded


def _peft(base: str | None, directory: Path) -> Loaded:
    """An adapter in PEFT's form."""
    loaded = _base(base)
    names = names_in(str(directory / peft.FILE))
    loaded.adapter_path, loaded.detail = (
        str(directory),
        {"what": "adapter", "path": str(directory / peft.FILE), "names": len(names)},
    )
    try:
        matched = peft.put_on(loaded.module, directory)
        mx().eval(loaded.module.parameters())
    except Exception as error:
        raise NotLoaded(_line(error), loaded.detail) from error
    loaded.detail |= {"matched": len(matched), "unexpected": 0, "absent": 0, "from_adapter": True}
    return loaded


def _arranged(directory: Path, file: Path) -> Path:
    """A numbered checkpoint stands under the name that the loader wants."""
    (directory / _ADAPTER_FILE).symlink_to(file.resolve())
    shutil.copyfile(file.parent / _ADAPTER_CONFIG, directory / _ADAPTER_CONFIG)
    return directory


def _weights(base: str | None, file: Path) -> Loaded:
    """A file of weights: a whole model by the configuration beside it, else of the base.

    Or a part of the base's weights.
    """
    beside = file.parent / "config.json"
    if file.name.startswith("model") and file.suffix == ".safetensors" and beside.exists():
        return _model(file.parent)
    loaded = _base(base)
    try:
        arrays = dict(mx().load(str(file)))
    except Exception as error:
        raise NotLoaded(_line(error)) from error
    if hasattr(loaded.module, "sanitize"):
        arrays = loaded.module.sanitize(arrays)
    detail = {"what": "weights", "path": str(file), **matching(loaded.module, list(arrays))}
    have = trees.parameters(loaded.module)
    strange = [name for name in arrays if name not in have]
    odd = [name for name in arrays if name in have and have[name].shape != arrays[name].shape]
    if strange or odd:
        raise NotLoaded(_unmatched(strange, odd, len(arrays)), detail)
    loaded.module.load_weights(list(arrays.items()), strict=False)
    mx().eval(loaded.module.parameters())
    loaded.detail = detail | {"partial": len(arrays) < len(have)}
    return loaded


def _unmatched(strange: list[str], odd: list[str], count: int) -> str:
    if strange:
        return (
            f"{len(strange)} of {count} tensors are not in the base's architecture, the first: {strange[0]}"
        )
    return f"{len(odd)} of {count} tensors have another shape than the base's, the first: {odd[0]}"


def _line(error: BaseException) -> str:
    """An error in one line."""
    lines: Iterable[str] = (line.strip() for line in str(error).splitlines())
    return f"{type(error).__name__}: {' '.join(line for line in lines if line)}"[:300]
