"""Bytes of live arrays: digest, statistics, and a safetensors file written as a stream.

It needs the standard library alone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..originals import hashlib, json, math
from ..rowfile import refuse_beyond_the_limit
from ..trees import mx

NAMES = {
    "bool_": "BOOL", "bool": "BOOL", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64",
    "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
    "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64", "complex64": "C64",
}  # fmt: skip
_BLOCK = 1 << 22


def dtype_name(array: Any) -> str:
    """The type as safetensors writes it."""
    return NAMES[str(array.dtype).rpartition(".")[2]]


def raw(array: Any) -> memoryview:
    """The row-major, little-endian bytes; evaluates the array, and copies it only where it is not contiguous.

    Raises RuntimeError where the array is a placeholder that no computation filled.
    """
    core = mx()
    flat = core.contiguous(array).reshape(-1).view(core.uint8)
    # what cannot be computed raises here; where a buffer is asked for, older mlx ends the process
    core.eval(flat)
    return memoryview(flat).cast("B")


def blocks(array: Any) -> Iterator[memoryview]:
    view = raw(array)
    for start in range(0, len(view), _BLOCK):
        yield view[start : start + _BLOCK]


def digest(array: Any) -> str:
    """sha256, in hex, over dtype, a zero byte, the shape joined by `x`, a zero byte, and the raw bytes."""
    shape = "x".join(map(str, array.shape))
    hashed = hashlib.sha256(f"{dtype_name(array)}\0{shape}\0".encode())
    for block in blocks(array):
        hashed.update(block)
    return hashed.hexdigest()


def not_finite(array: Any) -> dict[str, float | int | None]:
    """nans and infs alone, in one pass where there are none."""
    core = mx()
    if not core.issubdtype(array.dtype, core.floating) or bool(core.isfinite(array).all().item()):
        return {"nans": 0, "infs": 0}
    return {"nans": int(core.isnan(array).sum().item()), "infs": int(core.isinf(array).sum().item())}


def statistics(array: Any) -> dict[str, float | int | None]:
    """mean, std, min, max and l2 over the finite elements; zeros, nans, infs.

    Of types without order: zeros alone.
    """
    core = mx()
    if array.size == 0 or str(array.dtype).endswith("complex64"):
        return {}
    flat = array.reshape(-1)
    count = {"zeros": int((flat == 0).sum().item())}
    nans = infs = 0
    if core.issubdtype(array.dtype, core.floating):
        nans, infs = int(core.isnan(flat).sum().item()), int(core.isinf(flat).sum().item())
        flat = flat.astype(core.float32)
        finite = core.isfinite(flat)
    else:
        flat = flat.astype(core.float32)
        finite = core.ones(flat.shape, core.bool_)
    size = array.size - nans - infs
    count |= {"nans": nans, "infs": infs}
    if size == 0:
        return {**count, "mean": None, "std": None, "min": None, "max": None, "l2": None}
    finite_values = core.where(finite, flat, 0)
    peak = float(core.abs(finite_values).max().item()) or 1.0
    mean = float((finite_values / peak).mean().item()) * peak * array.size / size
    around = core.where(finite, (flat - mean) / peak, 0)
    return {
        **count,
        "mean": mean,
        "std": math.sqrt(float(core.square(around).mean().item()) * array.size / size) * peak,
        "min": float(core.where(finite, flat, math.inf).min().item()),
        "max": float(core.where(finite, flat, -math.inf).max().item()),
        "l2": math.sqrt(float(core.square(finite_values / peak).mean().item()) * array.size) * peak,
    }


def write(path: Path, tensors: dict[str, Any]) -> None:
    """Write a safetensors file, one tensor after the other, under a temporary name first.

    Raises OSError where the disk is full; the temporary file is then removed.
    """
    header: dict[str, Any] = {}
    offset = 0
    for name, array in tensors.items():
        header[name] = {
            "dtype": dtype_name(array),
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    refuse_beyond_the_limit(8 + len(text) + offset)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for array in tensors.values():
                for block in blocks(array):
                    file.write(block)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file: name to dtype, shape and offsets, without `__metadata__`.

    Raises ValueError, OSError.
    """
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > 100_000_000:
            raise ValueError("not a safetensors file")
        content: dict[str, Any] = json.loads(file.read(length))
    content.pop("__metadata__", None)
    return content


def evaluated(arrays: dict[str, Any], budget: int = 2_000_000) -> dict[str, bool | None]:
    """Which arrays are computed already, found out without computing any.

    An array that is computed has no operation in its graph.

    `budget` bounds the characters of graph that are written to find out; beyond it the rest is None, not
    looked at.
    """
    export = getattr(mx(), "export_to_dot", None)
    computed: dict[str, bool | None] = dict.fromkeys(arrays)
    if export is None or len(arrays) > 2000:
        return computed
    for name, array in arrays.items():
        page = _Page()
        export(page, array)
        computed[name] = not page.operation
        budget -= page.size
        if budget < 0:
            break
    return computed


def operations(arrays: list[Any]) -> int | None:
    """How many operations of graph lie under these arrays. None where this mlx does not show it."""
    export = getattr(mx(), "export_to_dot", None)
    if export is None or len(arrays) > 2000:
        return None
    page = _Page()
    export(page, *arrays)
    return page.count


def computed(array: Any) -> bool:
    """Is this array computed, or on its way? True where this mlx does not show it."""
    export = getattr(mx(), "export_to_dot", None)
    if export is None:
        return True
    page = _Page()
    export(page, array)
    return not page.operation


class _Page:
    """A file to write a graph to, of which only one thing is kept: does it hold an operation?"""

    def __init__(self) -> None:
        self.count = 0  # of operations
        self.size = 0

    @property
    def operation(self) -> bool:
        return self.count > 0

    def write(self, text: str) -> int:
        self.count += text.count("[label")
        self.size += len(text)
        return len(text)
