"""Makes the files that are measured.

They are pairs of models as mlx-lm directories, every tensor drawn from a fixed seed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

BYTES = {"BF16": 2, "F32": 4, "F16": 2}


def pair(
    root: Path,
    name: str,
    gigabytes: float,
    changed: float,
    *,
    dtype: str = "BF16",
    tensors: int = 300,
    shards: int = 1,
) -> tuple[Path, Path]:
    """Two models of about this size, of which this share of the tensors differs slightly.

    Made once, then found again.
    """
    a, b = root / f"{name}-a", root / f"{name}-b"
    shape = _shape(gigabytes * 1e9 / tensors / BYTES[dtype])
    moved = set(np.random.default_rng(1).permutation(tensors)[: round(changed * tensors)].tolist())
    for path, other in ((a, set()), (b, moved)):
        if not (path / "done").exists():
            _model(path, dtype, shape, tensors, shards, other)
            (path / "done").touch()
    return a, b


def _shape(elements: float) -> tuple[int, int]:
    rows = max(8, int(elements**0.5) // 8 * 8)
    return rows, max(8, round(elements / rows))


def _model(
    path: Path, dtype: str, shape: tuple[int, int], tensors: int, shards: int, moved: set[int]
) -> None:
    path.mkdir(parents=True, exist_ok=True)
    nbytes = shape[0] * shape[1] * BYTES[dtype]
    index: dict[str, str] = {}
    for shard in range(shards):
        mine = range(shard * tensors // shards, (shard + 1) * tensors // shards)
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors" if shards > 1 else "model.safetensors"
        index |= {_name(n): file for n in mine}
        entries = {
            _name(n): {"dtype": dtype, "shape": list(shape), "data_offsets": [i * nbytes, (i + 1) * nbytes]}
            for i, n in enumerate(mine)
        }
        header = json.dumps(entries).encode()
        with (path / file).open("wb") as out:
            out.write(len(header).to_bytes(8, "little") + header)
            for n in mine:
                out.write(_values(n, dtype, shape, n in moved))
            out.flush()
            os.fsync(out.fileno())
    if shards > 1:
        (path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


def _name(n: int) -> str:
    return f"model.layers.{n // 10}.block.part_{n % 10}.weight"


def _values(n: int, dtype: str, shape: tuple[int, int], moved: bool) -> bytes:
    """Normal numbers.

    One draw is repeated through a large tensor, since drawing would take longer than all that is measured.
    """
    draw = (
        np.random.default_rng(n).standard_normal(min(shape[0] * shape[1], 1 << 20), dtype=np.float32) * 0.02
    )
    if moved:
        draw += np.random.default_rng(n + 10**6).standard_normal(len(draw), dtype=np.float32) * 1e-3
    whole = np.resize(draw, shape[0] * shape[1])
    if dtype == "BF16":
        return (whole.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    return whole.astype("<f2" if dtype == "F16" else "<f4").tobytes()
