"""Tensors that lie in a file in another form than mlx-lm has them.

They are read as mlx-lm has them, a few rows at a time.

PEFT's factors are transposed, llama.cpp interleaves the rows of q and k over their heads, and GGUF packs
values in blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from forensics.errors import UnreadableModel
from forensics.model import blocks
from forensics.model.gguf import BLOCKS
from forensics.model.headers import BITS
from forensics.records import RawTensor, TensorStats
from forensics.tensors.digest import value_digest
from forensics.tensors.measure import measure

Rows = Callable[[int, int], bytes]
"""The bytes of rows [first, last)."""


def arranged(raw: RawTensor, layout: str) -> RawTensor | None:
    """The tensor as mlx-lm has it: block types as F32, rows and columns in mlx-lm's order.

    `raw` itself where it lies so.

    None where its block type cannot be decoded. `layout` as `Stored.layout`.

    Raises:
        UnreadableModel: the layout does not fit the tensor's shape.
    """
    if layout == "transposed":
        return _transposed(raw)
    heads = int(layout.removeprefix("heads:") or 0)
    if raw.dtype not in BLOCKS and not heads:
        return raw
    columns = raw.shape[-1] if len(raw.shape) > 1 or raw.dtype in BLOCKS else 1
    rows = math.prod(raw.shape) // columns if columns else 0
    take = _in_file(raw, raw.nbytes // rows if rows else 0)
    if heads:
        take = _in_order(raw, take, rows, heads)
    if raw.dtype not in BLOCKS:
        return _by_rows(raw, raw.dtype, raw.nbytes // rows if rows else 0, take)
    elements, nbytes = BLOCKS[raw.dtype]
    if blocks.decode(raw.dtype, bytes(nbytes)) is None:
        return None
    return _by_rows(raw, "F32", columns * 4, _decoded(raw.dtype, take))


def identity(raw: RawTensor, layout: str, digest: str) -> str | None:
    """The digest of the tensor as a value, where it is another than that of its bytes.

    None where they are the same.

    Of what only lies in another order it is the digest that mlx-lm's own tensor has.
    """
    if raw.dtype in BLOCKS:
        elements, nbytes = BLOCKS[raw.dtype]
        return value_digest(
            f"{raw.dtype}/{layout}" if layout else raw.dtype, nbytes * 8 // elements, elements, digest, "", ""
        )
    ordered = arranged(raw, layout) if layout else None
    return measure(ordered).digest if ordered is not None else None


def statistics(raw: RawTensor) -> TensorStats:
    """As `measure`: the digest over the raw blocks, the statistics over the values in them."""
    stats = measure(raw)
    values = arranged(raw, "") if raw.dtype in BLOCKS else None
    if values is None:
        return stats
    of = measure(values)
    return TensorStats(
        stats.digest,
        raw.dtype,
        raw.shape,
        of.size,
        raw.nbytes,
        of.mean,
        of.std,
        of.min,
        of.max,
        of.l2,
        of.zeros,
        of.nans,
        of.infs,
    )


def _in_file(raw: RawTensor, width: int) -> Rows:
    return lambda first, last: bytes(raw.read(first * width, last * width))


def _in_order(raw: RawTensor, take: Rows, rows: int, heads: int) -> Rows:
    """Undo llama.cpp's interleaving: within a head, even rows come first."""
    size = rows // heads
    if size * heads != rows or size % 2:
        raise UnreadableModel(
            f"{rows} rows do not divide into {heads} heads.", where=raw.name, hint="Convert the model again."
        )

    def ordered(first: int, last: int) -> bytes:
        head, until = first // size, -(-last // size)
        data = np.frombuffer(take(head * size, until * size), np.uint8).reshape(
            until - head, size // 2, 2, -1
        )
        whole = data.swapaxes(1, 2).reshape((until - head) * size, -1)
        return whole[first - head * size : last - head * size].tobytes()

    return ordered


def _decoded(dtype: str, take: Rows) -> Rows:
    def values(first: int, last: int) -> bytes:
        decoded = blocks.decode(dtype, take(first, last))
        return b"" if decoded is None else decoded.astype("<f4", copy=False).tobytes()

    return values


def _by_rows(raw: RawTensor, dtype: str, width: int, take: Rows) -> RawTensor:
    def read(start: int, stop: int) -> bytes:
        if stop <= start:
            return b""
        first, last = start // width, -(-stop // width)
        return take(first, last)[start - first * width : stop - first * width]

    return RawTensor(raw.name, dtype, raw.shape, math.prod(raw.shape) * BITS[dtype] // 8, read)


def _transposed(raw: RawTensor) -> RawTensor:
    """The last two axes exchanged; factors of adapters are small, so each read takes the whole."""
    if len(raw.shape) < 2:
        return raw
    shape = (*raw.shape[:-2], raw.shape[-1], raw.shape[-2])
    width = BITS[raw.dtype] // 8

    def read(start: int, stop: int) -> bytes:
        data = np.frombuffer(raw.read(0, raw.nbytes), np.dtype((np.void, width))).reshape(raw.shape)
        return data.swapaxes(-1, -2).tobytes()[start:stop]

    return RawTensor(raw.name, raw.dtype, shape, raw.nbytes, read)
