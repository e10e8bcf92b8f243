"""Facts read off objects: the process and its environment, optimizers, tokenizers, configurations."""

from __future__ import annotations

import contextlib
import platform
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import captured, protocol
from ..models import Model
from ..originals import hashlib, json, os, time
from ..run import watch
from ..stdlib import first
from ..trees import is_array, modules, mx, optimizer_state
from ..wrapping import weakly

_PACKAGES = (
    "mlx",
    "mlx-lm",
    "transformers",
    "tokenizers",
    "safetensors",
    "numpy",
    "datasets",
    "peft",
    "torch",
)
_CONFIGS = {"adapter_config.json": "adapter", "generation_config.json": "generation", "config.json": "model"}
_DIGESTS: weakref.WeakKeyDictionary[Any, tuple[int, str | None]] = weakref.WeakKeyDictionary()
_MARK = "\u2042"  # a character that templates do not write


def process() -> None:
    """Write process.json: who runs, and on what."""
    content: protocol.Process = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "argv": list(getattr(sys, "orig_argv", sys.argv)),
        "executable": sys.executable,
        "cwd": os.getcwd(),
        "started": time.time(),
        "environment": environment(),
    }
    path = watch.directory / protocol.PROCESS
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(path)


def environment() -> dict[str, str]:
    """Versions and device, as text."""
    packages = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
    }
    packages |= _versions()
    with contextlib.suppress(Exception):
        packages["device"] = str(mx().default_device())
    return packages


def _versions() -> dict[str, str]:
    """The versions of packages, from the names of their directories, which the format of wheels prescribes.

    `importlib.metadata` brings 3.5 MB of modules into the program. It is asked only of what is imported and
    has no such directory, as older tools install.
    """
    there: dict[str, str] = {}
    for directory in sys.path:
        with contextlib.suppress(OSError):
            for entry in os.listdir(directory or "."):
                name, _, version = entry.removesuffix(".dist-info").partition("-")
                if entry.endswith(".dist-info"):
                    there.setdefault(name.replace("_", "-").lower(), version)
    for package in _PACKAGES:
        if package not in there and package.replace("-", "_") in sys.modules:
            with contextlib.suppress(Exception):
                with first():
                    from importlib.metadata import version as asked

                there[package] = asked(package)
    return {package: there[package] for package in _PACKAGES if package in there}


# -- optimizers ----------------------------------------------------------------------------------------------


def optimizer(instance: Any) -> dict[str, Any]:
    """Class, step, learning rate and plain settings of an optimizer."""
    state = optimizer_state(instance)
    schedulers = getattr(instance, "_schedulers", {})
    settings = {
        key: value for key, value in vars(instance).items() if not key.startswith("_") and _plain(value)
    }
    return {
        "class": type(instance).__name__,
        "step": number(state.get("step")),
        "learning_rate": number(state.get("learning_rate")),
        "scheduled": "learning_rate" in schedulers,
        "settings": settings,
    }


def number(value: Any) -> Any:
    """A Python number of a scalar array; None where it is none, or a placeholder."""
    if is_array(value):
        with contextlib.suppress(Exception):
            return value.item() if value.size == 1 else None
        return None
    return value if isinstance(value, (int, float)) else None


def square_norm(array: Any) -> float:
    """The sum of squares of an array of real numbers; 0 of any other.

    Of one array alone: while a function is traced, a sum over several keeps them all half computed, and mlx
    ends the process where the program computes them.
    """
    core = mx()
    if not core.issubdtype(array.dtype, core.floating):
        return 0.0
    return float(core.square(array.astype(core.float32)).sum().item())


def _plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return len(value) <= 8 and all(_plain(item) for item in value)
    return isinstance(value, (bool, int, float, str))


# -- configurations ------------------------------------------------------------------------------------------


def configs(model: Model, capture: str) -> None:
    """Rows of the model's, the adapter's and the generation config, and of the chat template."""
    if model.config:
        rows(capture, "model", model.config)
    for place in (model.path, model.adapter_path):
        for name, kind in _CONFIGS.items():
            if place and not (kind == "model" and model.config):
                with contextlib.suppress(OSError, ValueError):
                    rows(capture, kind, json.loads((Path(place) / name).read_text(encoding="utf-8")))
    text = template(model.tokenizer)
    if text is not None:
        rows(capture, "template", {"text": text, "digest": _sha(text)})


def rows(capture: str | None, kind: str, config: Any) -> None:
    """One row a leaf of a nested configuration, under its dotted key: of a capture, or of the program."""
    for key, value in leaves(config):
        row = captured.Config(kind=kind, key=key, value=json.dumps(value, default=str))
        if capture is None:
            watch.row("configs", **row)
        else:
            watch.part(capture, "configs", **row)


def leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(config, dict) and config:
        for key, value in config.items():
            yield from leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif prefix:
        yield prefix, config


# -- tokenizers ----------------------------------------------------------------------------------------------

_known: dict[
    int, tuple[Any, tuple[Any, ...], dict[str, Any]]
] = {}  # id -> (weak reference, its state then, facts)


def inner(tokenizer: Any) -> Any:
    """The Hugging Face tokenizer inside mlx-lm's wrapper."""
    return (
        getattr(tokenizer, "_tokenizer", tokenizer)
        if type(tokenizer).__name__ == "TokenizerWrapper"
        else tokenizer
    )


def template(tokenizer: Any) -> str | None:
    """The chat template's text; None where there is none."""
    text = getattr(inner(tokenizer), "chat_template", None) if tokenizer is not None else None
    return text if isinstance(text, str) else None if text is None else json.dumps(text, default=str)


def tokenizer(model: Model) -> dict[str, Any]:
    """Facts of the model's tokenizer, see docs/spool.md; empty without one.

    Asked again where the program changed it.
    """
    if model.tokenizer is None:
        return {}
    cached = _known.get(id(model.tokenizer))
    state = _state(model.tokenizer)
    if cached is None or cached[0]() is not model.tokenizer or cached[1] != state:
        cached = _known[id(model.tokenizer)] = (
            weakly(model.tokenizer),
            state,
            _tokenizer(model.tokenizer, model),
        )
    return {**cached[2], "rows": embedding_rows(model.module)}


def _state(tokenizer: Any) -> tuple[Any, ...]:
    """What a program may change of a tokenizer that it holds."""
    hf = inner(tokenizer)
    return (
        _sha(template(tokenizer)),
        frozenset(stop_ids(tokenizer)),
        getattr(hf, "pad_token_id", None),
        len(hf),
    )


def embedding_rows(module: Any) -> int | None:
    """Rows of the first embedding: how many token ids the model knows."""
    return next(embeddings(module), None)


def embeddings(module: Any) -> Iterator[int]:
    """Rows of each embedding."""
    for _, each in modules(module) if module is not None else ():  # the program may have dropped its model
        named = any("Embedding" in kind.__name__ for kind in type(each).__mro__)  # or a class made of one
        if named and is_array(each.get("weight")):
            yield int(each["weight"].shape[0])


def _tokenizer(wrapper: Any, model: Model) -> dict[str, Any]:
    hf = inner(wrapper)
    added = {str(token): int(index) for token, index in (_ask(hf, "get_added_vocab") or {}).items()}
    special = [int(index) for index in getattr(hf, "all_special_ids", None) or []]
    stop = sorted(stop_ids(wrapper))
    ids = {f"{name}_id": getattr(hf, f"{name}_token_id", None) for name in ("bos", "eos", "pad", "unk")}
    frame = _frame(hf)
    ends = {*stop, *_ids(ids["eos_id"]), *_configured_ends(model)}
    if frame and frame["tail"]:
        ends |= {index for index in frame["tail"][:1] if index in special or index in added.values()}
    return {
        "vocab_size": len(hf),
        "vocabulary_digest": vocabulary_digest(hf),
        "class": type(hf).__name__,
        **ids,
        "eos_ids": stop,
        "special_ids": special,
        "added_tokens": added,
        "end_ids": sorted(ends),
        "template_digest": _sha(template(wrapper)),
        "frame": frame,
        "digest": _file_digest(getattr(hf, "name_or_path", None) or model.tokenizer_path),
        "names": {
            str(index): hf.convert_ids_to_tokens(index)
            for index in sorted({*special, *added.values(), *ends})
        },
    }


def vocabulary_digest(hf: Any) -> str | None:
    """Of the tokens of a tokenizer of transformers, read once an object; None where it does not tell them."""
    with contextlib.suppress(Exception):  # a tokenizer of one's own
        size, known = len(hf), _DIGESTS.get(hf)
        if known is None or known[0] != size:
            digest = captured.vocabulary_digest(size, lambda ids: hf.convert_ids_to_tokens(list(ids)))
            known = _DIGESTS[hf] = size, digest
        return known[1]
    return None


def stop_ids(tokenizer: Any) -> set[int]:
    """The ids at which mlx-lm stops with this tokenizer.

    It wraps one of transformers', and stops at its end token.
    """
    return set(
        _ids(getattr(tokenizer, "eos_token_ids", None))
        or _ids(getattr(inner(tokenizer), "eos_token_id", None))
    )


def _ids(value: Any) -> list[int]:
    """Token ids of a number or a collection of numbers, the forms in which configurations have them."""
    if isinstance(value, int) and not isinstance(value, bool):
        return [value]
    return [item for item in value if isinstance(item, int)] if isinstance(value, (list, tuple, set)) else []


def _configured_ends(model: Model) -> list[int]:
    ids = _ids((model.config or {}).get("eos_token_id"))
    with contextlib.suppress(OSError, ValueError, AttributeError):
        path = Path(model.path or model.tokenizer_path or "") / "generation_config.json"
        ids += _ids(json.loads(path.read_text(encoding="utf-8")).get("eos_token_id"))
    return ids


def _frame(hf: Any) -> dict[str, list[int]] | None:
    """The ids that the chat template puts around a user's text and an answer.

    None where it has none or refuses.
    """
    if template(hf) is None:
        return None
    try:
        user = [{"role": "user", "content": _MARK}]
        opened = hf.apply_chat_template(user, tokenize=False, add_generation_prompt=True)
        closed = hf.apply_chat_template([*user, {"role": "assistant", "content": _MARK}], tokenize=False)
        head, _, middle = opened.partition(_MARK)
        tail = closed.rpartition(_MARK)[2]
        return {"head": encode(hf, head), "middle": encode(hf, middle), "tail": encode(hf, tail)}
    except Exception:  # noqa: BLE001   a template is a program of the model's author, and may refuse
        return None


def encode(hf: Any, text: str) -> list[int]:
    """Token ids of a text alone, with the tokenizer's own truncation and padding left as they were."""
    backend: Any = getattr(hf, "backend_tokenizer", None)
    if backend is not None and backend.truncation is None and backend.padding is None:
        return list(backend.encode(text, add_special_tokens=False).ids)
    settings = (backend.truncation, backend.padding) if backend is not None else None
    try:
        return list(hf.encode(text, add_special_tokens=False))
    finally:
        if settings and settings[0]:
            backend.enable_truncation(**settings[0])
        if settings and settings[1]:
            backend.enable_padding(**settings[1])


def _ask(owner: Any, name: str) -> Any:
    method = getattr(owner, name, None)
    return method() if callable(method) else None


def _sha(text: str | None) -> str | None:
    return None if text is None else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _file_digest(directory: Any) -> str | None:
    with contextlib.suppress(OSError, TypeError):
        return hashlib.sha256((Path(directory) / "tokenizer.json").read_bytes()).hexdigest()
    return None
