"""A model on disk as rows of the schema.

Tensors and where they lie, modules by names and shapes, configurations, adapters, tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from forensics.capture import shared
from forensics.capture.sources import tensor_row
from forensics.model import names
from forensics.model.adapters import ancestors
from forensics.model.composed import Composed, Piece
from forensics.model.configs import AdapterSettings, flat
from forensics.records import Row
from forensics.tensors import digest as digest_of
from forensics.tensors.cache import Measured


@dataclass(frozen=True, slots=True)
class Names:
    """What a capture at rest is called: its run and its ref.

    It also says where its tensors' bytes are kept (pack | file | none).
    """

    run: str
    ref: str
    kept: Mapping[str, str]  # digest -> pack | file | none


def tables(
    composed: Composed, measured: Mapping[str, Measured], called: Names, told: Mapping[str, Any] | None = None
) -> dict[str, list[Row]]:
    """Rows of placements, tensors, modules, adapters and configs.

    `told` are facts of the loaded tokenizer, which go before its files'.
    """
    shaped = [(p.mlx_name, p.stored.raw.dtype, _shape(p)) for p in composed.pieces]
    placed = names.place(shaped, tied=_tied(composed, measured))
    stats = {p.mlx_name: measured[p.stored.raw.name] for p in composed.pieces}
    digests = {name: m.stats.digest for name, m in stats.items()}
    twins = _tied(composed, measured)
    shown = {p.mlx_name: p.name for p in composed.pieces}
    packed = {p.mlx_name: how for p in composed.pieces if (how := packing(p, composed))}
    values = {
        name: name in packed and digest_of.packed_value(name, packed[name], digests) or m.value_digest
        for name, m in stats.items()
    }
    found: dict[str, list[Row]] = {
        "placements": [
            {
                "capture": called.ref,
                "name": p.name,
                "canonical": placed[p.mlx_name].canonical,
                "module": placed[p.mlx_name].module,
                "leaf": placed[p.mlx_name].leaf,
                "role": placed[p.mlx_name].role,
                "layer": placed[p.mlx_name].layer,
                "digest": digests[p.mlx_name],
                "shared_with": shown[twins[p.mlx_name]] if p.mlx_name in twins else None,
                "value_digest": values[p.mlx_name],
                "layout": p.stored.layout or None,
                "packing": digest_of.packing(packed.get(p.mlx_name)),
            }
            for p in composed.pieces
        ],
        "tensors": [
            tensor_row(m.stats, called.kept.get(d, "none"))
            for d, m in {m.stats.digest: m for m in stats.values()}.items()
        ],
        "modules": list(_modules(composed, shaped, placed, called.ref)),
        "configs": list(_configs(composed, called.ref, _rows(shaped, placed), told or {})),
    }
    found["adapters"] = [
        *_declared(composed, called.run),
        *shared.observed(called.run, called.ref, found["modules"], "file"),
    ]
    return found


def tokenizer(composed: Composed) -> Mapping[str, Any]:
    """Facts of the tokenizer: the base's, else the adapter's own copy."""
    return composed.model.tokenizer or (composed.adapter.tokenizer if composed.adapter else {})


def _shape(p: Piece) -> tuple[int, ...]:
    shape = p.stored.raw.shape
    return (
        (*shape[:-2], shape[-1], shape[-2]) if p.stored.layout == "transposed" and len(shape) > 1 else shape
    )


def _tied(composed: Composed, measured: Mapping[str, Measured]) -> dict[str, str]:
    """The head that holds the same bytes as the embedding, by name, where the configuration ties them."""
    if not any(key == "tie_word_embeddings" and value is True for _, key, value in composed.model.configs):
        return {}
    placed = names.place((p.mlx_name, p.stored.raw.dtype, _shape(p)) for p in composed.pieces)
    by_role: dict[str, list[Piece]] = {}
    for p in composed.pieces:
        by_role.setdefault(placed[p.mlx_name].role, []).append(p)
    of = {measured[p.stored.raw.name].stats.digest: p.mlx_name for p in by_role.get("embedding", [])}
    heads = ((p.mlx_name, of.get(measured[p.stored.raw.name].stats.digest)) for p in by_role.get("head", []))
    return {name: twin for name, twin in heads if twin}


def packing(p: Piece, composed: Composed) -> Mapping[str, Any] | None:
    """mode, bits and group_size of a packed weight, as the configuration has them.

    None where it is not packed, or nothing says how.
    """
    if p.stored.raw.dtype != "U32" or not p.mlx_name.endswith("weight"):
        return None
    held = composed.model.quantization
    own = held.get(p.base.removesuffix(".weight"))
    how = {**held, **own} if isinstance(own, dict) else held
    bits, group, mode = how.get("bits"), how.get("group_size"), how.get("mode", "affine")
    if not isinstance(bits, int) or not isinstance(group, int) or not isinstance(mode, str):
        return None
    return {"mode": mode, "bits": bits, "group_size": group}


def _modules(
    composed: Composed,
    shaped: list[tuple[str, str, tuple[int, ...]]],
    placed: Mapping[str, names.Placed],
    ref: str,
) -> Iterator[Row]:
    paths: dict[str, None] = {"": None}
    for p in placed.values():
        if p.module not in paths and not p.module.startswith("."):
            paths.update(dict.fromkeys((*reversed([*ancestors(p.module)]), p.module)))
    of = names.modules(paths, shaped, placed)
    packed = {placed[p.mlx_name].module: how for p in composed.pieces if (how := packing(p, composed))}
    settings = composed.settings
    for path in paths:
        is_adapter = of[path].kind in ("adapter", "dora")
        yield {
            "capture": ref,
            "module": path,
            "canonical": of[path].canonical,
            "kind": of[path].kind,
            "layer": of[path].layer,
            "rank": of[path].rank,
            "scale": settings.scale_of(of[path].canonical) if settings and is_adapter else None,
            "dropout": settings.dropout if settings and is_adapter else None,
            "adapters": of[path].adapters,
            "attributes": json.dumps(packed.get(path, {})),
        }


def _declared(composed: Composed, run: str) -> Iterator[Row]:
    s: AdapterSettings | None = composed.settings
    if s is not None:
        yield {
            "run": run,
            "origin": "declared",
            "via": "config-file",
            "kind": s.kind,
            "rank": s.rank,
            "scale": s.scale,
            "alpha": s.alpha,
            "dropout": s.dropout,
            "num_layers": s.num_layers,
            "keys": json.dumps(s.keys) if s.keys is not None else None,
            "strength": "strong",
        }


def _configs(composed: Composed, ref: str, rows: int | None, told: Mapping[str, Any]) -> Iterator[Row]:
    seen: set[tuple[str, str]] = set()
    for kind, key, value in [
        *composed.model.configs,
        *(composed.adapter.configs if composed.adapter else ()),
    ]:
        if (kind, key) not in seen:
            seen.add((kind, key))
            yield shared.config(ref, kind, key, value)
    facts = {**tokenizer(composed), **told}
    if facts:
        yield from (
            shared.config(ref, "tokenizer", key, value) for key, value in flat({**facts, "rows": rows})
        )


def _rows(shaped: list[tuple[str, str, tuple[int, ...]]], placed: Mapping[str, names.Placed]) -> int | None:
    """Rows of the embedding: how many token ids the model knows."""
    return next((shape[0] for name, _, shape in shaped if placed[name].role == "embedding"), None)
