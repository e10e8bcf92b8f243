"""One observed model as rows of the tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from forensics.capture.answers import token, transcript
from forensics.capture.columns import place
from forensics.capture.frames import Facts
from forensics.capture.observation import Module, Observed, Tensor, flat_facts
from forensics.capture.pointnames import Named
from forensics.model.configs import AdapterSettings
from forensics.model.names import inside
from forensics.records import Row, Scalar
from forensics.store.keyed import Keyed
from forensics.tensors.digest import packing
from forensics.units import iso


@dataclass
class Record:
    """One capture on its way into the store: its name, its row of `captures`, and its rows by table.

    `facts` are those of its tokenizer.
    """

    named: Named
    head: dict[str, Scalar]
    tables: dict[str, list[Row]] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)

    @property
    def ref(self) -> str:
        return self.named.ref

    def rows(self, table: str) -> list[Row]:
        return self.tables.setdefault(table, [])


@dataclass(frozen=True)
class Scene:
    """What the captures of a run have in common: its name, where it works, the key of its store's digests."""

    run: str
    cwd: str | None = None
    keyed: Keyed | None = None


def record(
    observed: Observed, scene: Scene, named: Named, facts: Facts | None = None, probes_of: str | None = None
) -> Record:
    """The rows of one model at one moment, in all tables.

    Args:
        facts: of its tokenizer, by which its answers are read.
        probes_of: the capture whose probes these are.
    """
    made = Record(named, _head(observed, scene, named, probes_of), facts=facts or Facts())
    ref = named.ref
    made.tables |= {
        "placements": [_placement(ref, t) for t in observed.tensors],
        "tensors": list(observed.measured.values()),
        "modules": [_module(ref, m) for m in observed.modules],
        "optimizers": [_optimizer(ref, o) for o in observed.optimizers],
        "configs": [
            {"capture": ref, "kind": kind, "key": key, "value": value}
            for kind, key, value in (*observed.configs, *flat_facts(observed.tokenizer))
        ],
    }
    if observed.declared is not None:
        made.rows("adapters").append(
            _declared(observed.declared, scene.run, ref if observed.written else None)
        )
    via = "file" if observed.source == "file" else "modules"
    made.rows("adapters").extend(_adapter(made.rows("modules"), scene.run, ref, via))
    if scene.keyed is not None:
        answers(made, observed.transcripts, observed.tokens, scene.keyed)
    return made


def answers(
    made: Record, transcripts: Sequence[Mapping[str, Any]], tokens: Sequence[Mapping[str, Any]], keyed: Keyed
) -> None:
    """Fill transcripts and tokens of a capture."""
    made.rows("transcripts").extend(transcript(each, made.ref, made.facts, keyed) for each in transcripts)
    made.rows("tokens").extend(token(each, made.ref, made.facts) for each in tokens)


def _head(observed: Observed, scene: Scene, named: Named, probes_of: str | None) -> dict[str, Scalar]:
    return {
        "capture": named.ref,
        "run": scene.run,
        "point": named.point,
        "ordinal": named.ordinal,
        "sequence": named.sequence,
        "process": named.process,
        "model": named.model,
        "created_at": iso(observed.time),
        "source": observed.source,
        "format": observed.format,
        "path": observed.path,
        "updates": observed.updates,
        "whole": observed.whole,
        "probes_of": probes_of,
        "probes": _probe_settings(observed.probes),
        "pending": None if observed.pending is None else json.dumps(dict(observed.pending)),
        "place": place(observed.place, scene.cwd),
        "complete": not observed.missing,
        "missing": json.dumps(list(observed.missing)),
    }


def run_head(
    run: str,
    kind: Literal["watched", "rest"],
    created: float,
    *,
    main_model: str | None,
    tensors: str,
    captures: Sequence[str],
    missing: Sequence[Mapping[str, Any]],
    complete: bool,
) -> dict[str, Any]:
    """What every run says of itself, watched or at rest.

    Args:
        created: seconds since the epoch.
        main_model: the one that RUN@POINT means; None where there is no capture.
        tensors: all | new | trainable | none, as they were kept.
        captures: what stands behind the @ of each capture's name.
        missing: gaps of the run itself.
        complete: neither the run nor a capture of it has a gap.
    """
    return {
        "run": run,
        "created_at": iso(created),
        "kind": kind,
        "complete": complete,
        "missing": list(missing),
        "main_model": main_model,
        "tensors": tensors,
        "captures": list(captures),
    }


def _probe_settings(probes: Mapping[str, Any] | None) -> str | None:
    """How the probes were asked, without the key by which answers are found again."""
    if probes is None:
        return None
    told = {key: value for key, value in probes.items() if key == "apart" or value not in (None, False, 0)}
    return json.dumps({key: value for key, value in told.items() if key != "key" and value is not None})


def _placement(ref: str, t: Tensor) -> Row:
    return {
        "capture": ref,
        "name": t.name,
        "canonical": t.at.canonical,
        "module": t.at.module,
        "leaf": t.at.leaf,
        "role": t.at.role,
        "layer": t.at.layer,
        "digest": t.digest,
        "trainable": t.trainable,
        "evaluated": t.evaluated,
        "shared_with": t.shared_with,
        "value_digest": t.value_digest,
        "layout": t.layout,
        "error": t.error,
        "packing": packing(t.packing),
    }


def _module(ref: str, m: Module) -> Row:
    return {
        "capture": ref,
        "module": m.path,
        "canonical": m.of.canonical,
        "class": m.type,
        "kind": m.of.kind,
        "layer": m.of.layer,
        "training": m.training,
        "rank": m.of.rank,
        "scale": m.scale,
        "dropout": m.dropout,
        "adapters": m.of.adapters,
        "attributes": json.dumps(m.attributes or {}),
    }


_OPTIMIZER = (
    *("optimizer", "class", "step", "learning_rate", "scheduled"),
    *("state_tensors", "state_l2", "state_evaluated"),
)


def _optimizer(ref: str, o: Mapping[str, Any]) -> Row:
    settings = json.dumps(o.get("settings") or {})
    return {"capture": ref, **{column: o.get(column) for column in _OPTIMIZER}, "settings": settings}


def _declared(s: AdapterSettings, run: str, ref: str | None) -> Row:
    """What the configuration beside an adapter says.

    `ref` where the program wrote it: then it belongs to the file, not to the program.
    """
    return {
        "run": run,
        "capture": ref,
        "origin": "declared",
        "via": "saved-config" if ref else "config-file",
        "kind": s.kind,
        "rank": s.rank,
        "scale": s.scale,
        "alpha": s.alpha,
        "dropout": s.dropout,
        "num_layers": s.num_layers,
        "keys": json.dumps(s.keys) if s.keys is not None else None,
        "strength": "strong",
    }


def _adapter(modules: Sequence[Row], run: str, ref: str, via: str) -> Iterator[Row]:
    """What a capture's modules hold of an adapter; nothing where they hold none.

    Rank, scale and dropout are those of most adapters; the modules have each its own.
    """
    adapted = [m for m in modules if m["kind"] in ("adapter", "dora")]
    if not adapted:
        return

    def usual(column: str) -> Scalar:
        common = Counter(m[column] for m in adapted if m[column] is not None).most_common(1)
        return common[0][0] if common else None

    yield {
        "run": run,
        "capture": ref,
        "origin": "observed",
        "via": via,
        "kind": "dora" if usual("kind") == "dora" else "lora",
        "rank": usual("rank"),
        "scale": usual("scale"),
        "dropout": usual("dropout"),
        "num_layers": len({m["layer"] for m in adapted if m["layer"] is not None}),
        "keys": json.dumps(sorted({inside(str(m["canonical"]), m["layer"]) for m in adapted})),
        "modules": len(adapted),
    }
