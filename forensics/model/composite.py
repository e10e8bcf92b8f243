"""A model on disk with an adapter on it, put together by names and shapes as mlx-lm does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from forensics.model import names
from forensics.model.checkpoint import Checkpoint, Stored
from forensics.model.configs import AdapterSettings
from forensics.model.fitting import fit


@dataclass(frozen=True, slots=True)
class Piece:
    """One tensor of the composed model.

    Attributes:
        name: as the file names it, or, of a base layer that got an adapter, as mlx-lm has it then
        (`X.linear.weight`).
        mlx_name: what stands for it in names and shapes.
        base: its path in the model without adapters.
    """

    stored: Stored
    name: str
    mlx_name: str
    base: str


@dataclass(frozen=True, slots=True)
class Composed:
    """A model as it would be loaded. `event` is the detail of the load of its adapter; None without one."""

    model: Checkpoint
    adapter: Checkpoint | None
    pieces: tuple[Piece, ...]
    settings: AdapterSettings | None
    event: Mapping[str, Any] | None = None
    missing: tuple[Mapping[str, str], ...] = field(default=())


def alone(model: Checkpoint) -> Composed:
    """A model, or an adapter, as it lies there."""
    pieces = _ordered(Piece(s, s.raw.name, s.mlx_name, names.plain(s.mlx_name)) for s in model.stored)
    missing: tuple[Mapping[str, str], ...] = ()
    if model.is_adapter and model.adapter is None:
        missing = (
            {
                "what": "the adapter's scale and settings",
                "why": "there is no adapter_config.json beside it",
                "kind": "adapter",
            },
        )
    return Composed(model, None, pieces, model.adapter, missing=missing)


def adapted(model: Checkpoint, adapter: Checkpoint) -> Composed:
    """A base with an adapter on it.

    Factors of layers that the base has not are left out, and counted in `event`.
    """
    base = {s.mlx_name: s for s in model.stored}
    own = {s.mlx_name: s for s in adapter.stored}
    shaped = [(s.mlx_name, s.raw.dtype, s.raw.shape) for s in model.stored]
    placed = names.place(shaped)
    adapters = names.adapters({s.mlx_name: s.raw.shape for s in adapter.stored})
    on = {path: a for path, a in adapters.items() if f"{path}.weight" in base}
    used = {factor for a in on.values() for factor in a.factors}
    replaced = {name for name in own if name in base}
    pieces = []
    for name, s in base.items():
        path, _, leaf = name.rpartition(".")
        wrapper = "embedding" if placed[name].role == "embedding" else "linear"
        wrapped = f"{path}.{wrapper}.{leaf}" if path in on else name
        piece = own.get(name, s) if name in replaced else s
        pieces.append(Piece(piece, wrapped if path in on else piece.raw.name, wrapped, name))
    pieces += [Piece(own[name], _named(own[name], adapter), name, name) for name in own if name in used]
    return Composed(
        model=model,
        adapter=adapter,
        pieces=_ordered(pieces),
        settings=adapter.adapter,
        event={
            **_event(adapter, own, used | replaced, placed),
            **(fits := fit(model, adapter)).detail(),
            "beside": sorted(replaced - {name for name, _, _ in fits.misshapen}),
        },
        missing=alone(adapter).missing,
    )


def _ordered(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """By name, with numbers as numbers: files hold tensors in any order."""
    # few parts make all names
    rank = cache(lambda part: (1, int(part)) if names.is_number(part) else (0, part))
    return tuple(sorted(pieces, key=lambda p: [*map(rank, p.mlx_name.split("."))]))


def _named(s: Stored, adapter: Checkpoint) -> str:
    return s.mlx_name if adapter.kind == "adapter-peft" else s.raw.name


def _event(
    adapter: Checkpoint, own: Mapping[str, Stored], used: set[str], placed: Mapping[str, names.Placed]
) -> Mapping[str, Any]:
    """What mlx-lm would find when it loads the adapter.

    Names that fit, names that fit nothing, factors that the file has not.
    """
    fits = used
    absent: set[str] = set()
    if adapter.kind == "adapter-mlx" and adapter.adapter and adapter.adapter.kind in ("lora", "dora"):
        expected = {
            f"{path}.{leaf}" for path in converted(adapter.adapter, placed) for leaf in ("lora_a", "lora_b")
        }
        absent = expected - set(own)
        factors = {name for name in used if name.endswith((".lora_a", ".lora_b"))}
        fits = (used - factors) | (factors & expected)
    return {
        "what": "adapter",
        "via": "file",
        "path": str(adapter.path),
        "names": len(own),
        "matched": len(fits),
        "unexpected": len(own) - len(fits),
        "absent": len(absent),
        "strict": False,
        "from_adapter": True,
        "fine_tune_type": adapter.adapter.kind if adapter.adapter else None,
    }


def converted(settings: AdapterSettings, placed: Mapping[str, names.Placed]) -> Iterator[str]:
    """The layers that mlx-lm converts with these settings.

    They are in the last blocks, and their path inside the block is a key.
    """
    blocks = sorted({p.layer for p in placed.values() if p.layer is not None})
    count = (
        settings.num_layers if settings.num_layers is not None and settings.num_layers > 0 else len(blocks)
    )
    last = set(blocks[-count:]) if count else set(blocks)
    for p in placed.values():
        if p.leaf != "weight" or p.role == "norm":
            continue
        path = names.inside(p.module, p.layer)
        if (p.layer in last and (settings.keys is None or path in settings.keys)) or (
            settings.keys and p.module in settings.keys
        ):
            yield p.module
