"""How large a bundle gets.

The run has eight captures of 20,000 tensors, all of which move from each capture to the next.
"""

from __future__ import annotations

import hashlib
import json
import random
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from forensics import evidence
from forensics.bundle import client, contents, scratchstore, write
from forensics.store.capture import Writer
from forensics.store.loader import open_session
from forensics.store.store import Store

CAPTURES, TENSORS = 8, 20_000
LIMIT = 25_000_000
SHAPES = ([4096, 4096], [1024, 4096], [14336, 4096], [4096, 14336], [4096], [16, 4096], [4096, 16])
PARTS = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "mlp.up_proj",
    "mlp.down_proj",
    "input_layernorm",
    "self_attn.q_proj",
    "self_attn.q_proj",
)
LEAVES = ("weight", "weight", "weight", "weight", "weight", "lora_a", "lora_b")
RANDOM = random.Random(11)


def real(scale: float) -> float:
    """As statistics are: a float64 with all of its digits."""
    return RANDOM.gauss(0, scale)


def small(scale: float) -> float:
    """As a largest element is: a float32."""
    return float(struct.unpack("<f", struct.pack("<f", RANDOM.gauss(0, scale)))[0])


def digest(number: int, name: int) -> str:
    return hashlib.sha256(f"{number} {name}".encode()).hexdigest()


def placements(ref: str, number: int) -> Iterator[dict[str, Any]]:
    for n in range(TENSORS):
        layer, part = divmod(n, len(PARTS))
        module = f"model.layers.{layer}.{PARTS[part]}"
        role = LEAVES[part] if LEAVES[part] != "weight" else "base"
        name = f"{module}.{LEAVES[part]}"
        row = {
            "capture": ref,
            "name": name,
            "canonical": name,
            "module": module,
            "leaf": LEAVES[part],
            "role": role,
            "layer": layer,
        }
        yield {**row, "digest": digest(number, n), "trainable": True, "evaluated": True}


def tensors(number: int) -> Iterator[dict[str, Any]]:
    for n in range(TENSORS):
        shape = SHAPES[n % len(SHAPES)]
        size = shape[0] * (shape[1] if len(shape) > 1 else 1)
        row = {
            "digest": digest(number, n),
            "dtype": "BF16",
            "shape": json.dumps(shape),
            "size": size,
            "nbytes": size * 2,
        }
        row |= {
            "mean": real(1e-4),
            "std": abs(real(0.02)),
            "min": small(0.4),
            "max": small(0.4),
            "l2": abs(real(80)),
        }
        yield {**row, "zeros": 0, "nans": 0, "infs": 0, "kept": "none"}


def deltas(number: int) -> Iterator[dict[str, Any]]:
    """Against the first capture and the one before."""
    for before in sorted({0, number - 1} if number else ()):
        for n in range(TENSORS):
            row = {
                "digest_a": digest(before, n),
                "digest_b": digest(number, n),
                "max_abs": small(1e-3),
                "l2": abs(real(1)),
            }
            yield {
                **row,
                "relative": abs(real(0.01)),
                "cosine": 1 - abs(real(1e-4)),
                "changed_fraction": abs(real(0.3)),
            }


def moved(root: Path) -> Store:
    store = Store(root)
    store.make()
    for number in range(CAPTURES):
        point = "loaded" if number == 0 else "end" if number == CAPTURES - 1 else f"step-{number * 100}"
        ref = f"night@{point}"
        head = {
            "capture": ref,
            "run": "night",
            "point": point,
            "ordinal": 1,
            "sequence": number,
            "process": 0,
            "model": "m0",
            "whole": True,
            "complete": True,
        }
        with Writer(store.captures, ref, "capture") as writer:
            writer.rows("captures", [head])
            writer.rows("placements", placements(ref, number))
            writer.rows("tensors", tensors(number))
            writer.rows("deltas", deltas(number))
            writer.seal(head)
    with Writer(store.runs, "night", "run") as writer:
        row = {"run": "night", "kind": "watched", "complete": True, "main_model": "m0"}
        writer.rows("runs", [row])
        writer.seal(row)
    return store


@pytest.mark.long
def test_a_run_of_many_captures_fits_an_issue_tracker(tmp_path: Path) -> None:
    store = moved(tmp_path / "s")
    out = tmp_path / "b.zip"
    with ExitStack() as stack:
        staged = write.stage(
            store, contents.select(evidence.chosen(store, ["night"])), "stats", text=False, stack=stack
        )
        known = staged.nbytes()
        write.finish(staged, out)
    assert out.stat().st_size <= known < LIMIT, out.stat().st_size
    assert client.check(out)["captures"][-1] == "night@end"
    there = scratchstore.passing_store(out, "b.zip", store.packs).run("night")
    with open_session(there.captures, [there]) as session:
        (counted,) = session.rows(
            "SELECT (SELECT count(*) FROM parameters) AS p, (SELECT count(*) FROM tensors) AS t, (SELECT"
            " count(*) FROM deltas) AS d"
        )
    assert counted == {"p": CAPTURES * TENSORS, "t": CAPTURES * TENSORS, "d": (2 * CAPTURES - 3) * TENSORS}
