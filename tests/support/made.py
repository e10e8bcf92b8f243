"""A store made by hand, without mlx: a run with captures, tables that hold text, and tensors.

For tests of bundles.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forensics.capture.sources import tensor_row
from forensics.records import RawTensor
from forensics.store.capture import Writer
from forensics.store.store import Store
from forensics.tensors.measure import measure

Tables = Mapping[str, Sequence[Mapping[str, Any]]]
DAY = "2026-11-24T12:00:00.000Z"


def tensor(*values: float) -> RawTensor:
    data = struct.pack(f"<{len(values)}f", *values)
    return RawTensor("t", "F32", (len(values),), len(data), lambda start, stop: data[start:stop])


def capture(
    store: Store,
    ref: str,
    tensors: Mapping[str, RawTensor],
    more: Tables | None = None,
    *,
    sequence: int = 0,
    kept: bool = True,
    head: Mapping[str, Any] | None = None,
) -> None:
    """Seal a capture of model m0 with these parameters."""
    run, _, point = ref.partition("@")
    stats = {name: measure(raw) for name, raw in tensors.items()}
    if kept:
        store.packs.put([(stats[name].digest, raw) for name, raw in tensors.items()])
    row = {
        "capture": ref, "run": run, "point": point, "ordinal": 1, "sequence": sequence, "process": 0,
        "model": "m0", "created_at": DAY, "source": "live", "whole": True, "complete": True, "missing": "[]",
        **(head or {}),
    }  # fmt: skip
    with Writer(store.captures, ref, "capture") as writer:
        writer.rows("captures", [row])
        writer.rows(
            "placements",
            [
                {
                    "capture": ref, "name": name, "canonical": name, "module": name.rpartition(".")[0],
                    "leaf": name.rpartition(".")[2], "role": "base", "digest": s.digest, "trainable": True,
                }
                for name, s in stats.items()
            ],
        )  # fmt: skip
        writer.rows(
            "tensors",
            [
                tensor_row(s, "pack" if kept else "none")
                for s in {s.digest: s for s in stats.values()}.values()
            ],
        )
        for table, rows in (more or {}).items():
            writer.rows(table, [{"capture": ref, **r} for r in rows])
        writer.seal(row)


def run(store: Store, name: str, more: Tables | None = None, **head: Any) -> None:
    """Seal a watched run."""
    row = {
        "run": name,
        "created_at": DAY,
        "kind": "watched",
        "complete": True,
        "missing": "[]",
        "main_model": "m0",
        "tensors": "all",
        **head,
    }
    with Writer(store.runs, name, "run") as writer:
        writer.rows("runs", [row])
        for table, rows in (more or {}).items():
            writer.rows(table, [{"run": name, **r} for r in rows])
        writer.seal(row)


def night(root: Path) -> Store:
    """The run `night`: two captures, of three tensors one moved; answers, steps, events, configs."""
    store = Store(root)
    store.make()
    first = {"model.a.weight": tensor(1, 2, 3), "model.b.weight": tensor(4, 5), "model.c.weight": tensor(6)}
    last = first | {"model.b.weight": tensor(4, 6)}
    said = {
        "prompt_id": "p0",
        "source": "probe",
        "prompt": "hi",
        "output": "ho",
        "prompt_ids": "[1, 2]",
        "output_ids": "[3]",
        "finish_reason": "stop",
    }
    tables = {
        "transcripts": [{**said, "settings": json.dumps({"max_tokens": 8})}],
        "modules": [
            {"module": "", "kind": "container", "attributes": "{}"},
            {"module": "model.a", "kind": "linear", "attributes": "{}"},
        ],
        "configs": [
            {"kind": "model", "key": "hidden_size", "value": "3"},
            {"kind": "model", "key": "model_type", "value": '"qwen2"'},
        ],
    }
    capture(store, "night@loaded", first, tables)
    capture(store, "night@end", last, tables, sequence=1)
    run(
        store,
        "night",
        {
            "steps": [{"process": 0, "model": "m0", "step": n, "loss": 1.0 / n} for n in range(1, 9)],
            "events": [
                {
                    "sequence": 0,
                    "time": 0.5,
                    "kind": "update",
                    "model": "m0",
                    "detail": '{"leaves": 3}',
                    "place": "train.py:7",
                }
            ],
            "models": [{"model": "m0", "process": 0, "class": "Model", "updates": 8}],
        },
    )
    return store


def tuned(root: Path, count: int = 400_000) -> Store:
    """The run `night`, whose two tensors moved from `loaded` to `end`.

    The larger one moved a little, the smaller one as a whole.
    """
    store = Store(root)
    store.make()
    drawn = random.Random(3)
    weights = [drawn.gauss(0, 1) for _ in range(count)]
    moved = [w + 1e-4 if n % 7 == 0 else w for n, w in enumerate(weights)]
    capture(store, "night@loaded", {"a.weight": tensor(*weights), "b.weight": tensor(1, 2)})
    capture(store, "night@end", {"a.weight": tensor(*moved), "b.weight": tensor(3, 4)}, sequence=1)
    run(store, "night")
    return store
