"""One model at one moment, as it was observed.

It was seen by a watcher in the program's process, or lies in files. Both routes make the same record, and
`rows` makes the tables of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from forensics.capture.sources import Sources, tensor_row
from forensics.capture.spool import Captured
from forensics.model import names
from forensics.model.adapters import ancestors
from forensics.model.composite import Composed, Piece
from forensics.model.configs import AdapterSettings, flat
from forensics.model.names import Placed, Shaped
from forensics.records import Row
from forensics.tensors.cache import Measured
from forensics.tensors.digest import Packing, packed_value, packing_of

Shapes = Sequence[tuple[str, str, tuple[int, ...]]]
"""(name as mlx-lm has it, dtype, shape) of each parameter."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One parameter, or one tensor of an optimizer's state.

    Attributes:
        name: as the program has it, or as the file names it.
        at: where it stands in the model.
        digest: None where it could not be read.
        value_digest: of its value, where that is another than that of its bytes.
    """

    name: str
    at: Placed
    digest: str | None
    value_digest: str | None = None
    packing: Packing | None = None
    layout: str | None = None
    trainable: bool | None = None
    evaluated: bool | None = None
    shared_with: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Module:
    """One module: what shapes say of it (`of`), and what it says of itself."""

    path: str
    of: Shaped
    type: str | None = None
    training: bool | None = None
    scale: float | None = None
    dropout: float | None = None
    attributes: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """One model at one moment.

    Attributes:
        source: live | reload | file.
        time: seconds since the epoch.
        measured: rows of `tensors`, by digest, of all that is named here.
        configs: (kind, key, value as JSON).
        declared: what an adapter's own configuration says, and whether the program wrote it itself.
        tokenizer: its facts, as the watcher tells them.
        transcripts, tokens: answers to probes, as the watcher wrote them.
    """

    source: str
    time: float
    tensors: tuple[Tensor, ...]
    modules: tuple[Module, ...]
    measured: Mapping[str, Row]
    configs: tuple[tuple[str, str, str | None], ...] = ()
    declared: AdapterSettings | None = None
    written: bool = False
    optimizers: Sequence[Mapping[str, Any]] = ()
    tokenizer: Mapping[str, Any] | None = None
    transcripts: Sequence[Mapping[str, Any]] = ()
    tokens: Sequence[Mapping[str, Any]] = ()
    format: str | None = None
    path: str | None = None
    updates: int | None = None
    whole: bool = True
    probes: Mapping[str, Any] | None = None
    pending: Mapping[str, Any] | None = None
    place: str | None = None
    missing: Sequence[Mapping[str, Any]] = ()


# -- what a watched process left -----------------------------------------------------------------------------


def from_spool(captured: Captured, sources: Sources) -> Observed:
    """A live model, as the watcher wrote it; `sources` measure what it did not."""
    head = captured.head
    found, transcripts = captured.rows("placements"), captured.rows("transcripts")
    for p in found:
        if p.get("digest"):
            sources.know(str(p["digest"]), p)
    logits = [str(t["logits_digest"]) for t in transcripts if t.get("logits_digest")]
    for digest in logits:
        sources.know(digest, {})
    digests = [*(str(p["digest"]) for p in found if p.get("digest")), *logits]
    parameters = [p for p in found if p.get("role") != "optimizer"]
    shapes = [(str(p["name"]), str(p["dtype"]), tuple(p["shape"])) for p in parameters]
    tied = {str(p["name"]): str(p["shared_with"]) for p in parameters if p.get("shared_with")}
    placed = names.place(shapes, tied=tied)
    facts, probes = head.get("tokenizer"), head.get("probes")
    return Observed(
        source="reload" if captured.point == "reloaded" else "live",
        time=captured.time,
        tensors=tuple(_told_tensors(found, placed)),
        modules=tuple(_told_modules(captured.rows("modules"), shapes, placed)),
        measured={digest: sources.stats[digest] for digest in digests},
        configs=tuple(
            (str(c.get("kind")), str(c.get("key")), c.get("value")) for c in captured.rows("configs")
        ),
        optimizers=captured.rows("optimizers"),
        tokenizer=facts if isinstance(facts, Mapping) else None,
        transcripts=transcripts,
        tokens=captured.rows("tokens"),
        path=head.get("path"),
        updates=head.get("updates"),
        whole=captured.whole,
        probes=probes if isinstance(probes, Mapping) else None,
        pending=head.get("pending"),
        place=head.get("place"),
        missing=head.get("missing") or (),
    )


def _told_tensors(found: Sequence[Mapping[str, Any]], placed: Mapping[str, Placed]) -> Iterator[Tensor]:
    digests = {str(p["name"]): p.get("digest") for p in found}
    for p in found:
        name = str(p["name"])
        packing = packing_of(p.get("quantization")) if p.get("role") != "optimizer" else None
        yield Tensor(
            name,
            placed.get(name) or _of_optimizer(name),
            p.get("digest"),
            value_digest=packed_value(name, packing, digests),
            packing=packing,
            trainable=p.get("trainable"),
            evaluated=p.get("evaluated"),
            shared_with=p.get("shared_with"),
            error=p.get("error"),
        )


def _of_optimizer(name: str) -> Placed:
    module, _, leaf = name.rpartition(".")
    return Placed(name, name, module, leaf, "optimizer", names.layer_of(name))


def _told_modules(
    found: Sequence[Mapping[str, Any]], shapes: Shapes, placed: Mapping[str, Placed]
) -> Iterator[Module]:
    of = names.modules([str(m["module"]) for m in found], shapes, placed)
    for m in found:
        told = (m.get("class"), m.get("training"), m.get("scale"), m.get("dropout"), m.get("attributes"))
        yield Module(str(m["module"]), of[str(m["module"])], *told)


# -- what lies in files --------------------------------------------------------------------------------------


def from_files(
    composed: Composed,
    measured: Mapping[str, Measured],
    kept: Mapping[str, str],
    time: float,
    tokenizer: Mapping[str, Any] | None = None,
) -> Observed:
    """A model on disk.

    Args:
        measured: each of its tensors, by its name in its file.
        kept: digest to where its bytes are kept: pack | file | none.
        tokenizer: facts of the loaded tokenizer, which go before its files'.
    """
    shapes = [(p.mlx_name, p.stored.raw.dtype, _shape(p)) for p in composed.pieces]
    stats = {p.mlx_name: measured[p.stored.raw.name] for p in composed.pieces}
    twins = _tied(composed, stats, names.place(shapes))
    placed = names.place(shapes, tied=twins)
    packings = {p.mlx_name: how for p in composed.pieces if (how := _packing(p, composed))}
    rows = next((shape[0] for name, _, shape in shapes if placed[name].role == "embedding"), None)
    of_files = composed.model.tokenizer or (composed.adapter.tokenizer if composed.adapter else {})
    facts = {**of_files, **(tokenizer or {})}
    return Observed(
        source="file",
        time=time,
        tensors=tuple(_stored_tensors(composed, stats, placed, twins, packings)),
        modules=tuple(_implied_modules(composed, shapes, placed, packings)),
        measured={
            digest: tensor_row(m.stats, kept.get(digest, "none"))
            for digest, m in {m.stats.digest: m for m in stats.values()}.items()
        },
        configs=tuple(_configs(composed)),
        declared=composed.settings,
        tokenizer={**facts, "rows": rows} if facts else None,
        format=composed.model.kind,
        path=str(composed.model.path),
    )


def _stored_tensors(
    composed: Composed,
    stats: Mapping[str, Measured],
    placed: Mapping[str, Placed],
    twins: Mapping[str, str],
    packings: Mapping[str, Packing],
) -> Iterator[Tensor]:
    digests = {name: m.stats.digest for name, m in stats.items()}
    shown = {p.mlx_name: p.name for p in composed.pieces}
    for p in composed.pieces:
        name = p.mlx_name
        yield Tensor(
            p.name,
            placed[name],
            digests[name],
            value_digest=packed_value(name, packings.get(name), digests) or stats[name].value_digest,
            packing=packings.get(name),
            layout=p.stored.layout or None,
            shared_with=shown[twins[name]] if name in twins else None,
        )


def _shape(p: Piece) -> tuple[int, ...]:
    shape = p.stored.raw.shape
    turned = p.stored.layout == "transposed" and len(shape) > 1
    return (*shape[:-2], shape[-1], shape[-2]) if turned else shape


def _tied(composed: Composed, stats: Mapping[str, Measured], placed: Mapping[str, Placed]) -> dict[str, str]:
    """The head that holds the same bytes as the embedding, by name, where the configuration ties them."""
    if not any(key == "tie_word_embeddings" and value is True for _, key, value in composed.model.configs):
        return {}
    with_role: dict[str, list[str]] = {}
    for name in stats:
        with_role.setdefault(placed[name].role, []).append(name)
    embeddings = {stats[name].stats.digest: name for name in with_role.get("embedding", ())}
    twins = {name: embeddings.get(stats[name].stats.digest) for name in with_role.get("head", ())}
    return {name: twin for name, twin in twins.items() if twin}


def _packing(p: Piece, composed: Composed) -> Packing | None:
    """How a packed weight is packed, as the configuration has it."""
    if p.stored.raw.dtype != "U32" or not p.mlx_name.endswith("weight"):
        return None
    common = composed.model.quantization
    own = common.get(p.base.removesuffix(".weight"))
    return packing_of({**common, **own} if isinstance(own, dict) else common)


def _implied_modules(
    composed: Composed, shapes: Shapes, placed: Mapping[str, Placed], packings: Mapping[str, Packing]
) -> Iterator[Module]:
    """The modules that names imply: those that hold tensors, and what stands above them."""
    paths: dict[str, None] = {"": None}
    for p in placed.values():
        if p.module not in paths and not p.module.startswith("."):
            paths.update(dict.fromkeys((*reversed([*ancestors(p.module)]), p.module)))
    packed = {placed[name].module: how for name, how in packings.items()}
    settings = composed.settings
    for path, of in names.modules(paths, shapes, placed).items():
        declared = settings if of.kind in ("adapter", "dora") else None
        yield Module(
            path,
            of,
            scale=declared.scale_of(of.canonical) if declared else None,
            dropout=declared.dropout if declared else None,
            attributes=packed[path]._asdict() if path in packed else None,
        )


def _configs(composed: Composed) -> Iterator[tuple[str, str, str | None]]:
    seen: set[tuple[str, str]] = set()
    for checkpoint in (composed.model, composed.adapter):
        for kind, key, value in checkpoint.configs if checkpoint else ():
            if (kind, key) not in seen:
                seen.add((kind, key))
                yield kind, key, as_json(value)


def as_json(value: Any) -> str:
    """A setting's value as `configs` has it."""
    return json.dumps(value, ensure_ascii=False, default=str)


def flat_facts(tokenizer: Mapping[str, Any] | None) -> Iterable[tuple[str, str, str]]:
    """The facts of a tokenizer as entries of `configs`."""
    return (("tokenizer", key, as_json(value)) for key, value in flat(tokenizer or {}))


# -- one model, saved and live -------------------------------------------------------------------------------


def as_live(saved: Observed, live: Observed) -> Observed:
    """What was saved, with the names that the model itself has.

    Weights that the model holds packed get their packing, where no file says it.
    """
    own = {t.name: t for t in live.tensors}
    packed = {t.at.canonical: t.packing for t in live.tensors if t.packing}
    digests = {t.name: t.digest for t in saved.tensors}

    def named(t: Tensor) -> Tensor:
        at = replace(own[t.name].at, name=t.at.name) if t.name in own else t.at
        packing = packed.get(at.canonical)
        if t.packing or packing is None or f"{t.name.removesuffix('weight')}scales" not in digests:
            return replace(t, at=at)
        value = packed_value(t.name, packing, digests)
        return replace(t, at=at, packing=packing, value_digest=value)

    return replace(saved, tensors=tuple(map(named, saved.tensors)))
