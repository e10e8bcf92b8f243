"""Does an adapter fit the model that it is put on? Names and shapes of two files, held side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from forensics.model import names
from forensics.model.adapters import Adapter, Shape, dense
from forensics.model.checkpoint import Checkpoint, Stored
from forensics.model.headers import read_header

_PREFIXES = {"model", "language_model"}
"""Parts of a path that one library puts around the language model and another leaves out."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What of an adapter's file has its place in the model.

    Attributes:
        unknown: names that no layer of the model answers to.
        by_prefix: all of these do where `model.` and `language_model.` are left aside.
        misshapen: (name, shape as mlx-lm has it, what its layer takes) of what cannot be multiplied.
        turned: such factors lie the other way round; else their sizes are others.
        halves: factors whose partner the file lacks, and magnitudes that DoRA declares, by the missing name.
        plain_names: do both files bear mlx's own names, which nothing renames at loading?
        peft: PEFT's, relative to the module, are the adapter's.
    """

    unknown: tuple[str, ...]
    by_prefix: bool
    misshapen: tuple[tuple[str, Shape, str], ...]
    turned: bool
    halves: tuple[str, ...]
    plain_names: bool
    peft: bool

    def detail(self) -> Mapping[str, Any]:
        """What the event of the load says of it."""
        first = next(iter(self.misshapen), None)
        return {
            "unknown": len(self.unknown),
            "unknown_first": next(iter(self.unknown), None),
            "by_prefix": self.by_prefix,
            "misshapen": len(self.misshapen),
            "misshapen_first": first and f"{first[0]} is {_times(first[1])}, its layer takes {first[2]}",
            "turned": self.turned,
            "lacking": len(self.halves),
            "plain_names": self.plain_names,
            "peft": self.peft,
        }


def fit(model: Checkpoint, adapter: Checkpoint) -> Fit:
    """Hold an adapter's names and shapes against those of a model."""
    base = {s.mlx_name: s for s in model.stored}
    own = {s.mlx_name: s for s in adapter.stored}
    adapters = names.adapters({name: s.raw.shape for name, s in own.items()})
    on = {path: a for path, a in adapters.items() if f"{path}.weight" in base}
    placed = {factor for a in on.values() for factor in a.factors} | (own.keys() & base.keys())
    unknown = tuple(name for name in own if name not in placed)
    known = {_bare(name.rpartition(".")[0]) for name in base}
    wrong = [] if model.kind == "gguf" else [*_misshapen(on, own, base)]
    return Fit(
        unknown=unknown,
        by_prefix=bool(unknown) and all(_bare(name.rpartition(".")[0]) in known for name in unknown),
        misshapen=tuple(wrong or _other_ranks(on, own, adapter)),
        turned=bool(wrong) and all(_turned(a, own, base[f"{p}.weight"], base) for p, a in on.items()),
        halves=(*_halves(on, adapter), *_unsaved_modules(base, own, adapter)),
        plain_names=adapter.kind == "adapter-mlx" and _of_mlx(model),
        peft=adapter.kind == "adapter-peft",
    )


def _bare(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split(".") if part not in _PREFIXES)


def _of_mlx(model: Checkpoint) -> bool:
    """Was the model written by mlx? Of other files a loader renames tensors and turns them."""
    return model.kind == "mlx" and all(read_header(f).metadata.get("format") == "mlx" for f in model.files)


def _misshapen(
    on: Mapping[str, Adapter], own: Mapping[str, Stored], base: Mapping[str, Stored]
) -> Iterator[tuple[str, Shape, str]]:
    for path, adapter in on.items():
        weight = base[f"{path}.weight"]
        if len(weight.raw.shape) != 2:
            continue
        for rows, columns in (sizes := _sizes(weight, base)):
            if _multiplies(adapter, own, rows, columns):
                break
        else:
            yield from _worst(adapter, own, sizes[0])
    for name in own.keys() & base.keys():
        mine, theirs = own[name].raw, base[name].raw
        if theirs.dtype != "U32" and mine.dtype != "U32" and mine.shape != theirs.shape:
            yield name, mine.shape, _times(theirs.shape)


def _sizes(weight: Stored, base: Mapping[str, Stored]) -> list[tuple[int, int]]:
    """(rows, columns) that the layer may have: of a packed weight one for each number of bits."""
    scales = base.get(weight.mlx_name.removesuffix("weight") + "scales")
    rows, columns = dense(weight.raw.shape, scales.raw.shape if scales else None)
    return [(rows, each) for each in columns]


def _shape(stored: Stored) -> Shape:
    """As mlx-lm has it: A (inputs, rank), B (rank, outputs)."""
    shape = stored.raw.shape
    return shape[::-1] if stored.layout == "transposed" else shape


def _multiplies(adapter: Adapter, own: Mapping[str, Stored], rows: int, columns: int) -> bool:
    """Is A B of the layer's shape? An embedding's A has its rows, a layer's A its columns."""
    a, b = (_shape(own[name]) if name else None for name in (adapter.a, adapter.b))
    if a and b and len(a) == len(b) == 2 and a[1] != b[0]:
        return False
    m = own[adapter.m].raw.shape if adapter.m else None
    fits = [
        (not a or a[0] == into) and (not b or b[-1] == out)
        for into, out in ((columns, rows), (rows, columns))
    ]
    return any(fits) and (m is None or m[-1] in (rows, columns))


def _worst(
    adapter: Adapter, own: Mapping[str, Stored], size: tuple[int, int]
) -> Iterator[tuple[str, Shape, str]]:
    """The factors of a misfit, the one that shows it first."""
    rows, columns = size
    a = _shape(own[adapter.a]) if adapter.a else None
    wanted = {
        adapter.a: (f"{columns} x rank", a is not None and a[0] == columns),
        adapter.b: (
            f"{a[-1] if a else 'rank'} x {rows}",
            adapter.b and _shape(own[adapter.b]) == (a[-1] if a else None, rows),
        ),
        adapter.m: (str(rows), adapter.m and own[adapter.m].raw.shape[-1] == rows),
    }
    for name, (takes, right) in sorted(wanted.items(), key=lambda item: bool(item[1][1])):
        if name and not right:
            yield name, _shape(own[name]), takes


def _turned(adapter: Adapter, own: Mapping[str, Stored], weight: Stored, base: Mapping[str, Stored]) -> bool:
    """Would both factors fit if each were transposed?"""
    if not adapter.a or not adapter.b or len(weight.raw.shape) != 2:
        return False
    a, b = (_shape(own[name])[::-1] for name in (adapter.a, adapter.b))
    sizes = _sizes(weight, base)
    return a[-1] == b[0] and any((a[0], b[-1]) in ((c, r), (r, c)) for r, c in sizes)


def _halves(on: Mapping[str, Adapter], adapter: Checkpoint) -> Iterator[str]:
    """What the file lacks of adapters that it holds the rest of."""
    dora = adapter.adapter is not None and adapter.adapter.kind == "dora"
    for path, each in on.items():
        for leaf, name in (("lora_a", each.a), ("lora_b", each.b)):
            if name is None:
                yield f"{path}.{leaf}"
        if dora and each.m is None:
            yield f"{path}.m"


def _other_ranks(
    on: Mapping[str, Adapter], own: Mapping[str, Stored], adapter: Checkpoint
) -> Iterator[tuple[str, Shape, str]]:
    """PEFT makes its layers by the declared ranks, and refuses factors of another."""
    settings = adapter.adapter
    if adapter.kind != "adapter-peft" or settings is None or settings.kind == "other":
        return
    for path, each in on.items():
        declared = settings.rank_of(path)
        shape = _shape(own[each.a]) if each.a and each.b else ()
        if each.a and declared is not None and len(shape) == 2 and shape[1] != declared:
            yield each.a, shape, f"rank {declared:g} as declared"


def _unsaved_modules(
    base: Mapping[str, Stored], own: Mapping[str, Stored], adapter: Checkpoint
) -> Iterator[str]:
    """Modules that PEFT is told to save whole, which are in the model and not in the file."""
    listed = next((v for kind, k, v in adapter.configs if (kind, k) == ("adapter", "modules_to_save")), None)
    for module in listed if adapter.kind == "adapter-peft" and isinstance(listed, list) else ():
        weight = f".{module}.weight"
        there = [name for name in base if f".{name}".endswith(weight)]
        if there and not any(f".{name}".endswith(weight) for name in own):
            yield there[0]


def _times(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "a number"
