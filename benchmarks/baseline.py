"""What a user would write: NumPy over safetensors, whole tensors, one after the other.

python baseline.py capture MODEL       sha256 and statistics of every tensor
python baseline.py diff A B            differences of every pair
python baseline.py bytes-first A B     the same, where bytes differ
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np


def tensors(model):
    for path in sorted(Path(model).glob("*.safetensors")):
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            for name, entry in json.loads(file.read(length)).items():
                begin, end = entry["data_offsets"]
                file.seek(8 + length + begin)
                yield name, entry["dtype"], file.read(end - begin)


def values(dtype, data):
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, {"F16": "<f2", "F32": "<f4"}[dtype]).astype(np.float32)


if sys.argv[1] == "capture":
    for _, dtype, data in tensors(sys.argv[2]):
        hashlib.sha256(data).hexdigest()
        x = values(dtype, data)
        (
            x.mean(dtype=np.float64),
            x.std(dtype=np.float64),
            x.min(),
            x.max(),
            np.linalg.norm(x),
            np.sum(x == 0),
            np.isnan(x).sum(),
            np.isinf(x).sum(),
        )
else:
    for (_, dtype, p), (_, _, q) in zip(tensors(sys.argv[2]), tensors(sys.argv[3]), strict=True):
        if sys.argv[1] == "bytes-first" and p == q:
            continue
        a, b = values(dtype, p), values(dtype, q)
        d = b - a
        (np.abs(d).max(), np.linalg.norm(d), np.linalg.norm(a), a @ b, np.mean(a != b))
