"""Makes a store of many captures: each the 300 tensors of one model, of which a tenth is its own."""

from __future__ import annotations

import hashlib
import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from forensics.store.capture import Writer
from forensics.store.store import Store

TENSORS = 300


def store(root: Path, captures: int) -> Path:
    """The store of that many, each the end of a run of its own; made once, then found again."""
    place = root / f"store-of-{captures}"
    if not (place / "done").exists():
        shutil.rmtree(place, ignore_errors=True)
        Store(place).make()
        with ProcessPoolExecutor() as executor:
            list(executor.map(_run, [place] * captures, range(captures), chunksize=50))
        (place / "done").touch()
    return place


def _run(root: Path, number: int) -> None:
    run, made = f"run-{number:05}", datetime.fromtimestamp(1.79e9 + number, UTC).isoformat()
    ref = f"{run}@end"
    head = {
        "capture": ref,
        "run": run,
        "point": "end",
        "ordinal": 1,
        "sequence": 0,
        "process": 0,
        "model": "m0",
        "created_at": made,
    }
    head |= {"source": "live", "updates": 8, "whole": True, "complete": True, "missing": "[]"}
    names = [f"model.layers.{n // 10}.block.part_{n % 10}.weight" for n in range(TENSORS)]
    digests = [
        hashlib.sha256(f"{name} {number if n % 10 == 0 else ''}".encode()).hexdigest()
        for n, name in enumerate(names)
    ]
    with Writer(root / "captures", ref, "capture") as writer:
        writer.rows("captures", [head])
        writer.rows(
            "placements",
            [_placement(ref, n, *each) for n, each in enumerate(zip(names, digests, strict=True))],
        )
        writer.rows("tensors", [_tensor(digest) for digest in digests])
        writer.seal(head)
    whole = {
        "run": run,
        "created_at": made,
        "kind": "watched",
        "complete": True,
        "missing": "[]",
        "main_model": "m0",
        "tensors": "none",
    }
    with Writer(root / "runs", run, "run") as writer:
        writer.rows("runs", [whole])
        writer.rows(
            "models",
            [
                {
                    "run": run,
                    "model": "m0",
                    "process": 0,
                    "class": "Model",
                    "updates": 8,
                    "parameters": TENSORS,
                }
            ],
        )
        writer.seal(whole)


def _placement(ref: str, n: int, name: str, digest: str) -> dict[str, object]:
    module = name.removesuffix(".weight")
    placed = {
        "capture": ref,
        "name": name,
        "canonical": name,
        "module": module,
        "leaf": "weight",
        "role": "base",
        "layer": n // 10,
    }
    return {**placed, "digest": digest, "trainable": n % 10 == 0, "evaluated": True}


def _tensor(digest: str) -> dict[str, object]:
    told = {
        "digest": digest,
        "dtype": "BF16",
        "shape": json.dumps([2048, 2048]),
        "size": 1 << 22,
        "nbytes": 1 << 23,
    }
    return {
        **told,
        "mean": 1e-5,
        "std": 0.02,
        "min": -0.11,
        "max": 0.11,
        "l2": 41.0,
        "zeros": 0,
        "nans": 0,
        "infs": 0,
        "kept": "none",
    }
