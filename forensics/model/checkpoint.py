"""Models as they lie on disk: which files make one up, what they hold, and how they are configured.

Needs no mlx.

A directory of mlx-lm or Hugging Face (one file or an index of shards), one .safetensors, an index, a .gguf
(one or split), an adapter directory of mlx-lm or PEFT, a numbered adapter checkpoint.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from forensics.errors import UnreadableModel
from forensics.model import gguf
from forensics.model.configs import (
    AdapterSettings,
    adapter_settings,
    flat,
    gguf_facts,
    page,
    plausible,
    template,
    tokenizer_facts,
)
from forensics.model.headers import MAX_TENSORS, read_header
from forensics.model.regular import look_through
from forensics.model.remote import located
from forensics.model.sharded import complete, shards
from forensics.records import RawTensor

Kind = Literal["mlx", "adapter-mlx", "adapter-peft", "safetensors", "gguf"]
INDEX = "model.safetensors.index.json"
_ADAPTERS: dict[str, Kind] = {
    "adapters.safetensors": "adapter-mlx",
    "adapter_model.safetensors": "adapter-peft",
}
_NUMBERED = re.compile(r"(\d+)_adapters\.safetensors")
_SPLIT = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor of a model on disk.

    Attributes:
        raw: under the name that the file gives it.
        file: where it lies.
        mlx_name: the name that mlx-lm gives the same tensor.
        layout: how its values lie compared with mlx-lm's: "" as there, "transposed" (PEFT factors), "heads:N"
        (rows of q and
            k that llama.cpp interleaved over N heads).
    """

    raw: RawTensor
    file: Path
    mlx_name: str
    layout: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model, or an adapter alone, on disk. Headers are read and checked; tensors are read when asked for.

    Attributes:
        files: the files with tensors, in order.
        configs: (kind, dotted key, JSON value) of every configuration that lies beside them.
        quantization: the `quantization` object of config.json; empty where there is none.
        adapter: what the adapter's own configuration says.
        tokenizer: facts as a watched run has them, see docs/spool.md; empty without a tokenizer.
        tokenizer_path: the directory that holds the tokenizer.
    """

    path: Path
    kind: Kind
    files: tuple[Path, ...]
    stored: tuple[Stored, ...]
    configs: tuple[tuple[str, str, Any], ...]
    quantization: Mapping[str, Any]
    adapter: AdapterSettings | None
    tokenizer: Mapping[str, Any]
    tokenizer_path: Path | None

    @property
    def is_adapter(self) -> bool:
        return self.kind in ("adapter-mlx", "adapter-peft")

    def tensors(self) -> Iterator[RawTensor]:
        """The tensors under the names that the files give them."""
        return (s.raw for s in self.stored)


def open_model(path: Path) -> Checkpoint:
    """The model or adapter at `path`, which may be a URL.

    Raises:
        UnreadableModel: nothing there, no model, cut off, or an index that names shards that are not there.
    """
    path = located(path).expanduser()
    if path.is_dir():
        return _directory(path)
    if not path.exists():
        raise UnreadableModel("There is nothing at this path.", where=str(path), hint="Check the path.")
    if path.suffix == ".gguf":
        return _gguf(path)
    if path.name.endswith(".index.json"):
        return _safetensors(path.parent, path, "mlx", shards(path))
    if path.suffix == ".safetensors":
        return _file(path)
    raise UnreadableModel(
        "This file is no model that can be read.",
        where=str(path),
        hint="Give a model or adapter directory, a .safetensors or .gguf file, or an index of shards.",
    )


def open_adapter(path: Path) -> Checkpoint:
    """The adapter at `path`; of a directory that holds a whole model as well, the adapter.

    Raises: as `open_model`.
    """
    path = located(path).expanduser()
    for name, kind in _ADAPTERS.items() if path.is_dir() else ():
        if (path / name).is_file():
            look_through(path)
            return _safetensors(path, path, kind, [path / name])
    return open_model(path)


def _directory(path: Path) -> Checkpoint:
    look_through(path)
    index = path / INDEX
    if index.is_file():
        return _safetensors(path, path, "mlx", shards(index))
    files = sorted(p for p in path.glob("*.safetensors") if p.is_file())
    numbered = [p for p in files if _NUMBERED.fullmatch(p.name)]
    adapters = [p for p in files if p.name in _ADAPTERS]
    models = [p for p in files if p.name.startswith(("model", "weights"))] or [
        p for p in files if p not in adapters and p not in numbered and not p.name.startswith("optimizer")
    ]
    if models:
        return _safetensors(path, path, "mlx", models)
    if adapters:
        return _safetensors(path, path, _ADAPTERS[adapters[0].name], adapters[:1])
    if numbered:
        return _safetensors(
            path, path, "adapter-mlx", [max(numbered, key=lambda p: int(p.name.partition("_")[0]))]
        )
    return _other_directory(path)


def _other_directory(path: Path) -> Checkpoint:
    """A directory without safetensors: one GGUF model, or an error that says what to do."""
    models = sorted(
        p for p in path.glob("*.gguf") if (split := _SPLIT.fullmatch(p.name)) is None or int(split[2]) == 1
    )
    if len(models) == 1:
        return _gguf(models[0])
    if models:
        names = ", ".join(p.name for p in models[:4])
        raise UnreadableModel(
            f"The directory holds {len(models)} models: {names}.",
            where=str(path),
            hint="Name the one you mean.",
        )
    if any(next(path.glob(pattern), None) for pattern in _PICKLES):
        raise UnreadableModel(
            "The directory holds pickled weights, which can run code when they are opened.",
            where=str(path),
            hint="Convert them to safetensors first, for example with mlx_lm.convert.",
        )
    raise UnreadableModel(
        "The directory holds no model and no adapter.",
        where=str(path),
        hint="It needs *.safetensors, adapters.safetensors, adapter_model.safetensors or a .gguf file.",
    )


def _file(path: Path) -> Checkpoint:
    """One .safetensors: an adapter by its file's name or by what it holds, else a model."""
    kind: Kind = _ADAPTERS.get(path.name) or (
        "adapter-mlx" if _NUMBERED.fullmatch(path.name) else "safetensors"
    )
    if kind == "safetensors":
        names = [e.name for e in read_header(path).entries]
        if names and all(_peft(n) for n in names):
            kind = "adapter-peft"
        elif names and all(n.endswith((".lora_a", ".lora_b", ".m")) for n in names):
            kind = "adapter-mlx"
    return _safetensors(path.parent, path, kind, [path])


def _safetensors(directory: Path, path: Path, kind: Kind, files: list[Path]) -> Checkpoint:
    headers = [read_header(file) for file in files]
    if (count := sum(len(h.entries) for h in headers)) > MAX_TENSORS:
        hint = "Check that they are one model's."
        raise UnreadableModel(f"The files hold {count:,} tensors together.", where=str(path), hint=hint)
    config = page(directory / "config.json")
    plausible(config, directory / "config.json")
    stored = tuple(Stored(raw, h.path, *_as_mlx(raw.name, kind)) for h in headers for raw in h.tensors())
    _unique(path, stored)
    if path.name.endswith(".index.json") or (path / INDEX).is_file():
        complete(path if path.is_file() else path / INDEX, {s.raw.name: s.file.name for s in stored})
    adapter = (
        adapter_settings(page(directory / "adapter_config.json")) if kind.startswith("adapter") else None
    )
    facts = tokenizer_facts(directory)
    return Checkpoint(
        path=path,
        kind=kind,
        files=tuple(files),
        stored=stored,
        configs=tuple(_configs(directory, kind)),
        quantization=_quantization(config),
        adapter=adapter,
        tokenizer=facts,
        tokenizer_path=directory if facts else None,
    )


def _unique(path: Path, stored: tuple[Stored, ...]) -> None:
    seen: dict[str, Path] = {}
    for s in stored:
        if s.raw.name in seen:
            raise UnreadableModel(
                f"Tensor {s.raw.name[:80]!r} stands in {seen[s.raw.name].name} and in {s.file.name}.",
                where=str(path),
                hint="Remove the files that do not belong to the model.",
            )
        seen[s.raw.name] = s.file


def _configs(directory: Path, kind: Kind) -> Iterator[tuple[str, str, Any]]:
    names = {"config.json": "model", "generation_config.json": "generation", "adapter_config.json": "adapter"}
    if kind != "mlx":
        names = {"adapter_config.json": "adapter"} if kind != "safetensors" else {"config.json": "model"}
    for name, of in names.items():
        yield from ((of, key, value) for key, value in flat(page(directory / name)))
    text = template(directory)
    if text is not None:
        yield from _template(text)


def _template(text: str) -> Iterator[tuple[str, str, Any]]:
    yield "template", "text", text
    yield "template", "digest", hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _quantization(config: Mapping[str, Any]) -> Mapping[str, Any]:
    settings = config.get("quantization") or config.get("quantization_config")
    return settings if isinstance(settings, dict) else {}


# -- adapters ------------------------------------------------------------------------------------------------

_PEFT = re.compile(
    r"(?:base_model\.model\.)?(.+)\.(lora_(?:embedding_)?([AB])|lora_magnitude_vector)(?:\.[^.]+)?(?:\.weight)?"
)


_SAVED_MODULE = re.compile(r"\.(?:modules_to_save(?:\.default)?|base_layer)\.")
"""What PEFT puts into the name of a module that it saves whole, or of a bias."""


def _peft(name: str) -> bool:
    return _PEFT.fullmatch(name) is not None


def _as_mlx(name: str, kind: Kind) -> tuple[str, str]:
    """(mlx-lm's name, layout) of a tensor in a safetensors file."""
    if kind != "adapter-peft":
        return name, ""
    match = _PEFT.fullmatch(name)
    if match is None:
        return _SAVED_MODULE.sub(".", name.removeprefix("base_model.model.")), ""
    path, factor, letter = match[1], match[2], match[3]
    if factor == "lora_magnitude_vector":
        return f"{path}.m", ""
    return f"{path}.lora_{letter.lower()}", "transposed"


# -- GGUF ----------------------------------------------------------------------------------------------------


def _gguf(path: Path) -> Checkpoint:
    files = _parts(path)
    parts = [gguf.read_gguf(file) for file in files]
    metadata = parts[0].metadata
    names = frozenset(e.name for part in parts for e in part.entries)
    stored = []
    for part in parts:
        for raw in part.tensors():
            heads = gguf.rotary_heads(metadata, raw.name)
            stored.append(
                Stored(raw, part.path, gguf.mlx_name(raw.name, names), f"heads:{heads}" if heads else "")
            )
    _unique(path, tuple(stored))
    plain = [
        ("model", k, v)
        for k, v in metadata.items()
        if not k.startswith("tokenizer.") and not isinstance(v, list)
    ]
    text = metadata.get("tokenizer.chat_template")
    facts = gguf_facts(metadata)
    return Checkpoint(
        path=path,
        kind="gguf",
        files=tuple(files),
        stored=tuple(stored),
        configs=(*plain, *(_template(text) if isinstance(text, str) else ())),
        quantization={},
        adapter=None,
        tokenizer=facts,
        tokenizer_path=None,
    )


def _parts(path: Path) -> list[Path]:
    """All parts of a split GGUF, in order; the file alone where it is whole."""
    match = _SPLIT.fullmatch(path.name)
    if match is None:
        return [path]
    count = int(match[3])
    if not 1 <= count <= 1000:
        raise UnreadableModel(
            f"A model in {count} parts cannot be read.", where=str(path), hint="Check the file's name."
        )
    files = [path.with_name(f"{match[1]}-{n:05d}-of-{match[3]}.gguf") for n in range(1, count + 1)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise UnreadableModel(
            f"{len(missing)} of {count} parts are missing: {', '.join(missing[:3])}.",
            where=str(path.parent),
            hint="Finish the download.",
        )
    return files
