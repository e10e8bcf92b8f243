"""One capture of a live model, as rows of the schema.

The watcher wrote its facts; names, kinds and roles are derived here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from forensics.capture.answers import token, transcript
from forensics.capture.frames import Facts
from forensics.capture.naming import Named
from forensics.capture.shared import config, observed, place
from forensics.capture.sources import Sources
from forensics.capture.spool import Captured
from forensics.model import names
from forensics.model.configs import flat
from forensics.records import Row, Scalar
from forensics.store.keyed import Keyed
from forensics.tensors.digest import packed_value, packing
from forensics.units import iso


@dataclass
class Record:
    """One capture on its way into the store: its name, its row of `captures`, and its rows by table.

    `quantization` is how each quantized weight is packed, by parameter name; `tokens_of` the facts of its
    tokenizer.
    """

    named: Named
    head: dict[str, Scalar]
    tables: dict[str, list[Row]] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)
    quantization: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def ref(self) -> str:
        return self.named.ref

    def rows(self, table: str) -> list[Row]:
        return self.tables.setdefault(table, [])


@dataclass(frozen=True)
class Scene:
    """What all captures of a run are read with."""

    run: str
    cwd: str | None
    sources: Sources
    keyed: Keyed


def record(scene: Scene, captured: Captured, named: Named, facts: Facts, probes_of: str | None) -> Record:
    """The rows of one live capture."""
    head = captured.head
    missing = list(head.get("missing") or [])
    row: dict[str, Scalar] = {
        **common(scene, named, captured.time, missing),
        "source": "reload" if captured.point == "reloaded" else "live",
        "format": None,
        "path": head.get("path"),
        "updates": head.get("updates"),
        "whole": captured.whole,
        "probes_of": probes_of,
        "probes": _how(head.get("probes")),
        "place": place(head.get("place"), scene.cwd),
    }
    made = Record(named, row, facts=facts)
    tree(scene, made, captured.rows("placements"), captured.rows("modules"))
    made.tables["optimizers"] = [_optimizer(named.ref, each) for each in captured.rows("optimizers")]
    told = head.get("tokenizer")
    made.tables["configs"] = [
        *(
            {"capture": named.ref, **{k: each.get(k) for k in ("kind", "key", "value")}}
            for each in captured.rows("configs")
        ),
        *(
            config(named.ref, "tokenizer", key, value)
            for key, value in flat(told if isinstance(told, Mapping) else {})
        ),
    ]
    answers(scene, made, captured.rows("transcripts"), captured.rows("tokens"))
    return made


def _how(told: Any) -> str | None:
    """How the probes were asked, as the column says it: without the key by which answers are found again."""
    if not isinstance(told, Mapping):
        return None
    said = {key: value for key, value in told.items() if key == "apart" or value not in (None, False, 0)}
    return json.dumps({key: value for key, value in said.items() if key != "key" and value is not None})


def common(
    scene: Scene, named: Named, time: float, missing: Sequence[Mapping[str, Any]]
) -> dict[str, Scalar]:
    """The columns of `captures` that every kind of capture fills alike."""
    return {
        "capture": named.ref,
        "run": scene.run,
        "point": named.point,
        "ordinal": named.ordinal,
        "sequence": named.sequence,
        "process": named.process,
        "model": named.model,
        "created_at": iso(time),
        "complete": not missing,
        "missing": json.dumps(list(missing)),
    }


def tree(
    scene: Scene, made: Record, placements: Sequence[Mapping[str, Any]], modules: Sequence[Mapping[str, Any]]
) -> None:
    """Fill placements, tensors, modules and observed adapters of a capture."""
    parameters = [p for p in placements if p.get("role") != "optimizer"]
    shaped = [(str(p["name"]), str(p["dtype"]), tuple(p["shape"])) for p in parameters]
    placed = names.place(
        shaped, tied={str(p["name"]): str(p["shared_with"]) for p in parameters if p.get("shared_with")}
    )
    digests = {str(p["name"]): p.get("digest") for p in placements}
    for p in placements:
        if p.get("digest"):
            scene.sources.know(str(p["digest"]), p)
    made.quantization = {
        str(p["name"]): p["quantization"] for p in parameters if isinstance(p.get("quantization"), Mapping)
    }
    values = {name: packed_value(name, q, digests) for name, q in made.quantization.items()}
    made.tables["placements"] = [_placement(made.ref, p, placed, values) for p in placements]
    made.tables["tensors"] = [
        scene.sources.stats[d] for d in dict.fromkeys(str(d) for d in digests.values() if d)
    ]
    of = names.modules([str(m["module"]) for m in modules], shaped, placed)
    made.tables["modules"] = [_module(made.ref, m, of[str(m["module"])]) for m in modules]
    made.tables["adapters"] = list(observed(scene.run, made.ref, made.tables["modules"], "modules"))


def _placement(
    capture: str, p: Mapping[str, Any], placed: Mapping[str, names.Placed], values: Mapping[str, str | None]
) -> Row:
    name = str(p["name"])
    at = placed.get(name) or names.Placed(
        name, name, name.rpartition(".")[0], name.rpartition(".")[2], "optimizer", names.layer_of(name)
    )
    return {
        "capture": capture,
        "name": name,
        "canonical": at.canonical,
        "module": at.module,
        "leaf": at.leaf,
        "role": at.role,
        "layer": at.layer,
        "digest": p.get("digest"),
        "trainable": p.get("trainable"),
        "evaluated": p.get("evaluated"),
        "shared_with": p.get("shared_with"),
        "value_digest": values.get(name),
        "error": p.get("error"),
        "packing": packing(p["quantization"]) if name in values else None,
    }


def _module(capture: str, m: Mapping[str, Any], of: names.Shaped) -> Row:
    return {
        "capture": capture,
        "module": m["module"],
        "canonical": of.canonical,
        "class": m.get("class"),
        "kind": of.kind,
        "layer": of.layer,
        "training": m.get("training"),
        "rank": of.rank,
        "scale": m.get("scale"),
        "dropout": m.get("dropout"),
        "adapters": of.adapters,
        "attributes": json.dumps(m.get("attributes") or {}),
    }


def _optimizer(capture: str, o: Mapping[str, Any]) -> Row:
    columns = (
        "optimizer",
        "class",
        "step",
        "learning_rate",
        "scheduled",
        "state_tensors",
        "state_l2",
        "state_evaluated",
    )
    return {
        "capture": capture,
        **{c: o.get(c) for c in columns},
        "settings": json.dumps(o.get("settings") or {}),
    }


def answers(
    scene: Scene, made: Record, transcripts: Sequence[Mapping[str, Any]], tokens: Sequence[Mapping[str, Any]]
) -> None:
    """Fill transcripts and tokens of a capture, and keep what logits they point at."""
    made.rows("transcripts").extend(
        transcript(each, made.ref, made.facts, scene.keyed) for each in transcripts
    )
    made.rows("tokens").extend(token(each, made.ref, made.facts) for each in tokens)
    held = {row["digest"] for row in made.rows("tensors")}
    for row in made.rows("transcripts"):
        digest = row["logits_digest"]
        if digest and digest not in held:
            held.add(digest)
            scene.sources.know(str(digest), {})
            made.rows("tensors").append(scene.sources.stats[str(digest)])
