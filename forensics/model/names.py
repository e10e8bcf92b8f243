"""What a tensor is, read off its name and the shapes around it: canonical name, module, role, layer.

And where adapters sit.

A layer that got an adapter keeps its identity: `q_proj.weight`, which became `q_proj.linear.weight`, is still
`q_proj.weight`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from forensics.model.adapters import WRAPPERS, Adapter, Shape, adapters, ancestors, plain

__all__ = ["Placed", "Shaped", "adapters", "canonical", "layer_of", "modules", "place", "plain"]

_EMBEDDING = re.compile(r"(embed|wte|wpe|tok_emb|word_emb)", re.IGNORECASE)
_INDEX = re.compile(r"(?:^|\.)([0-9]{1,9})(?![^.])")
_HEAD = re.compile(r"(head|output|embed_out|unembed)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Placed:
    """One tensor's place in the model.

    `module` is the path that holds it (of a factor: the adapter), `leaf` the rest of the name; `layer` the
    index of its block.
    """

    name: str
    canonical: str
    module: str
    leaf: str
    role: str
    layer: int | None


def layer_of(path: str) -> int | None:
    """The index of the block: the first number in the path, as `is_number` has it."""
    match = _INDEX.search(path)
    return int(match[1]) if match else None


def is_number(part: str) -> bool:
    """Is a part of a path a number of a list?

    Files of strangers may hold other characters that Python takes for digits, or too many digits.
    """
    return part.isascii() and part.isdigit() and len(part) < 10


# -- names ---------------------------------------------------------------------------------------------------


def canonical(path: str, adapted: Collection[str]) -> str:
    """The path of a tensor or module without adapter wrappers.

    `adapted` are the paths of modules that hold lora_a. `.linear` and `.embedding` below one of them are
    dropped; what is an adapter's own (its factors, and the adapter itself where it stands inside another)
    keeps its depth.
    """
    return _unwrapped(plain(path), dict.fromkeys(adapted, WRAPPERS))


def _unwrapped(path: str, inner: Mapping[str, Collection[str]], *, bottom: bool = False) -> str:
    """`bottom`: an adapter's path becomes that of the layer below all its adapters."""
    if not inner or (path in inner and not bottom):
        return path
    parent, _, leaf = path.rpartition(".")
    if parent in inner and leaf not in inner[parent]:
        return path
    parts: list[str] = []
    walked: list[str] = []
    for part in path.split("."):
        if part not in inner.get(".".join(walked), ()):
            parts.append(part)
        walked.append(part)
    return ".".join(parts)


def place(
    tensors: Iterable[tuple[str, str, Shape]], *, tied: Mapping[str, str] | None = None
) -> dict[str, Placed]:
    """Where each tensor stands, by name.

    Args:
        tensors: (name, dtype as safetensors writes it, shape), all of one model or file.
        tied: name to the name of the twin that holds the same weight: both get the twin's canonical name.
    """
    return dict(_place(_listed(tensors), tuple((tied or {}).items())))


_Listed = tuple[tuple[str, str, Shape], ...]


def _listed(tensors: Iterable[tuple[str, str, Shape]]) -> _Listed:
    return tuple((name, dtype, tuple(shape)) for name, dtype, shape in tensors)


@lru_cache(maxsize=8)  # captures of one run, and the two sides of a comparison, mostly hold the same names
def _place(listed: _Listed, tied: tuple[tuple[str, str], ...]) -> Mapping[str, Placed]:
    shapes = {name: shape for name, _, shape in listed}
    dtypes = {name: dtype for name, dtype, _ in listed}
    adapted = adapters(shapes)
    factors = {name: (adapter, role) for adapter in adapted.values() for name, role in _roles(adapter)}
    inner: dict[str, Collection[str]] = {
        path: (a.inner,) if a.inner else WRAPPERS for path, a in adapted.items()
    }
    whole = _vocabulary(shapes, factors)
    placed = {}
    for name in shapes:
        if name in factors:
            placed[name] = _factor(name, *factors[name])
            continue
        bare = plain(name)
        module, _, leaf = bare.rpartition(".")
        role = whole.get(name) or _role(name, leaf, shapes, dtypes)
        placed[name] = Placed(name, _unwrapped(bare, inner), module, leaf, role, layer_of(bare))
    for name, twin in tied:
        if name in placed and twin in placed:
            p = placed[name]
            placed[name] = Placed(p.name, placed[twin].canonical, p.module, p.leaf, p.role, p.layer)
    return placed


def _roles(adapter: Adapter) -> Iterator[tuple[str, str]]:
    for name, role in ((adapter.a, "lora_a"), (adapter.b, "lora_b"), (adapter.m, "dora_m")):
        if name:
            yield name, role


def _factor(name: str, adapter: Adapter, role: str) -> Placed:
    """PEFT's factors go by the names that mlx-lm has for them; others keep their own."""
    bare = plain(name)
    own = bare.removeprefix(f"{adapter.module}.") if adapter.module else bare
    if own != name.rpartition(".")[2] and (own.startswith("lora_") or bare != name):
        own = {"dora_m": "m"}.get(role, role)
    elif own in ("lora_A", "lora_B"):
        own = own.lower()
    path = f"{adapter.module}.{own}" if adapter.module else own
    return Placed(name, path, adapter.module, own, role, layer_of(bare))


def _role(name: str, leaf: str, shapes: Mapping[str, Shape], dtypes: Mapping[str, str]) -> str:
    prefix = name.removesuffix(leaf)
    if leaf in ("scales", "biases") and dtypes.get(f"{prefix}weight") == "U32":
        return leaf
    if leaf == "bias":
        return "bias"
    return "norm" if leaf == "weight" and len(shapes[name]) == 1 else "base"


def _vocabulary(shapes: Mapping[str, Shape], factors: Collection[str]) -> dict[str, str]:
    """The embedding and the head: matrices outside the blocks with as many rows as the largest of them.

    Names decide where they say it; else the one that stands beside the list of blocks is the embedding.
    """
    outside = {
        name: shape
        for name, shape in shapes.items()
        if len(shape) == 2
        and name not in factors
        and name.endswith(".weight")
        and layer_of(plain(name)) is None
    }
    rows = max((shape[0] for shape in outside.values()), default=0)
    blocks: set[str] | None = None
    renamed: dict[str, str] = {}
    for name, shape in outside.items():
        module = plain(name).removesuffix(".weight")
        if _HEAD.search(module) and not _EMBEDDING.search(module):
            renamed[name] = "head"
        elif _EMBEDDING.search(module):
            renamed[name] = "embedding"
        elif shape[0] == rows:
            if blocks is None:
                blocks = {_before_number(plain(name)) for name in shapes if layer_of(plain(name)) is not None}
            if blocks:
                beside = module.rpartition(".")[0] in blocks
                renamed[name] = "embedding" if beside and "embedding" not in renamed.values() else "head"
    return renamed


def _before_number(path: str) -> str:
    """The path that holds the list of blocks: `model` of `model.layers.0.mlp`."""
    parts = path.split(".")
    cut = next(i for i, part in enumerate(parts) if is_number(part))
    return ".".join(parts[: max(cut - 1, 0)])


# -- modules -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shaped:
    """What shapes say of a module. `adapters` is how many are wrapped around the layer: 0, 1, 2 nested."""

    canonical: str
    kind: str
    layer: int | None
    rank: int | None
    adapters: int


def modules(
    paths: Iterable[str], tensors: Iterable[tuple[str, str, Shape]], roles: Mapping[str, Placed]
) -> dict[str, Shaped]:
    """What each module is, by path.

    Linear, embedding, norm, adapter, dora, switch, quantized, container or other.
    """
    embeddings = frozenset(name for name, placed in roles.items() if placed.role == "embedding")
    return dict(_modules(tuple(paths), _listed(tensors), embeddings))


@lru_cache(maxsize=8)
def _modules(every: tuple[str, ...], listed: _Listed, embeddings: frozenset[str]) -> Mapping[str, Shaped]:
    shapes = {name: shape for name, _, shape in listed}
    dtypes = {name: dtype for name, dtype, _ in listed}
    adapted = adapters(shapes)
    inner: dict[str, Collection[str]] = {
        path: (a.inner,) if a.inner else WRAPPERS for path, a in adapted.items()
    }
    around = Counter(_unwrapped(path, inner, bottom=True) for path in adapted)
    parents = {parent for path in every for parent in ancestors(path)} | ({""} if any(every) else set())
    shaped = {}
    for path in every:
        adapter = adapted.get(path)
        kind = _kind(path, adapter, shapes, dtypes, embeddings, path in parents)
        name = _unwrapped(path, inner)
        count = (
            around[_unwrapped(path, inner, bottom=True)]
            if kind not in ("container", "other") or adapter
            else 0
        )
        shaped[path] = Shaped(name, kind, layer_of(path), adapter.rank if adapter else None, count)
    return shaped


def _kind(
    path: str,
    adapter: Adapter | None,
    shapes: Mapping[str, Shape],
    dtypes: Mapping[str, str],
    embeddings: Collection[str],
    parent: bool,
) -> str:
    if adapter:
        return "dora" if adapter.m else "adapter"
    weight = f"{path}.weight" if path else "weight"
    shape = shapes.get(weight)
    if shape is None:
        return "container" if parent else "other"
    if dtypes[weight] == "U32":
        return "quantized"
    if len(shape) == 2:
        return "embedding" if weight in embeddings else "linear"
    return {1: "norm", 3: "switch"}.get(len(shape), "other")


def inside(path: str, layer: object) -> str:
    """The path inside its block: `self_attn.q_proj` of `model.layers.3.self_attn.q_proj`.

    The whole path outside the blocks.
    """
    parts = path.split(".")
    if layer is None or str(layer) not in parts:
        return path
    return ".".join(parts[parts.index(str(layer)) + 1 :]) or path
