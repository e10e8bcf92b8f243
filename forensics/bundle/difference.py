"""A tensor stored as its difference from another.

The bytes of both are XORed, sorted by their place in an element, and deflated.

The base is named by its digest and stays where it is: who has it gets the tensor back, and its digest says
that it is the one; who has not gets nothing. It needs no NumPy, for the reader of strangers' bundles has
none.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from forensics.model.headers import BITS
from forensics.records import RawTensor

BLOCK = 1 << 20
"""Bytes that are compared at a time; every element's size divides it."""
MAX_USES = 8
"""Differences against one base: what a bundle unpacks to is bounded by what its reader has already."""
_SMALL = 512  # bytes below which naming the base takes what the difference saves
_EFFORT = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """How a tensor comes back.

    `base` is the digest of the tensor it differs from, `held` that of the deflated bytes as U8.
    """

    base: str
    dtype: str
    shape: tuple[int, ...]
    held: str

    def document(self) -> Mapping[str, object]:
        return {"base": self.base, "dtype": self.dtype, "shape": list(self.shape), "held": self.held}


def difference(base: RawTensor, tensor: RawTensor, file: BinaryIO) -> tuple[Difference, RawTensor] | None:
    """What of `tensor` differs from `base`, appended to `file`.

    None where that is not smaller, or the two have not one form.

    The second is the deflated bytes, as a tensor that is read from `file` by position.
    """
    if (base.dtype, base.shape, base.nbytes) != (
        tensor.dtype,
        tensor.shape,
        tensor.nbytes,
    ) or tensor.nbytes < _SMALL:
        return None
    begin, digest_of_bytes, size = file.tell(), hashlib.sha256(), 0
    packer = zlib.compressobj(_EFFORT)
    for part in _deflated(packer, base, tensor):
        size += len(part)
        if size > tensor.nbytes - _SMALL:
            file.seek(begin)
            file.truncate()
            return None
        file.write(part)
    file.flush()
    path = Path(file.name)
    file.seek(begin)
    digest_of_bytes.update(f"U8\0{size}\0".encode())
    while block := file.read(BLOCK):
        digest_of_bytes.update(block)
    digest = digest_of_bytes.hexdigest()
    deflated = RawTensor(
        digest, "U8", (size,), size, lambda start, stop: _at(path, begin + start, stop - start)
    )
    return Difference(base.name, tensor.dtype, tensor.shape, digest), deflated


def _deflated(packer: zlib._Compress, base: RawTensor, tensor: RawTensor) -> Iterator[bytes]:
    step = element(tensor.dtype)
    for start in range(0, tensor.nbytes, BLOCK):
        stop = min(start + BLOCK, tensor.nbytes)
        xor = _xor(bytes(base.read(start, stop)), bytes(tensor.read(start, stop)))
        yield packer.compress(b"".join(xor[place::step] for place in range(step)))
    yield packer.flush()


class Restored:
    """A tensor from its base and its deflated difference, read once from front to back.

    Raises (from `read`):
        ValueError: the deflated bytes are damaged, or more or fewer than the base has.
    """

    def __init__(self, base: RawTensor, deflated: Iterator[bytes]) -> None:
        self._base, self._step = base, element(base.dtype)
        self._deflated, self._unpacker, self._rest, self._at = deflated, zlib.decompressobj(), b"", 0

    def read(self, start: int, stop: int) -> bytes:
        if start != self._at or stop - start != min(BLOCK, self._base.nbytes - start):
            raise ValueError("a difference is read from front to back")
        planes = self._next(stop - start)
        xor = bytearray(stop - start)
        at = 0
        for place in range(self._step):
            count = len(range(place, len(xor), self._step))
            xor[place :: self._step] = planes[at : at + count]
            at += count
        self._at = stop
        if stop == self._base.nbytes and (self._next(1, short=True) or not self._unpacker.eof):
            raise ValueError("more bytes than the base has")
        return _xor(bytes(self._base.read(start, stop)), bytes(xor))

    def _next(self, count: int, *, short: bool = False) -> bytes:
        """The next bytes of the difference, never more held than asked for."""
        output = b""
        try:
            while len(output) < count and not self._unpacker.eof:
                if not self._rest and not (block := next(self._deflated, b"")):
                    break
                if not self._rest:
                    self._rest = block
                output += self._unpacker.decompress(self._rest, count - len(output))
                self._rest = self._unpacker.unconsumed_tail
        except zlib.error as error:
            raise ValueError("it cannot be unpacked") from error
        if len(output) < count and not short:
            raise ValueError("fewer bytes than the base has")
        return output


def element(dtype: str) -> int:
    """Bytes of an element; 1 where elements are smaller, or lie in blocks."""
    return max(1, BITS.get(dtype, 8) // 8)


def _xor(a: bytes, b: bytes) -> bytes:
    if len(a) != len(b):
        raise ValueError("fewer bytes than the base has")
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(len(a), "little")


def _at(path: Path, start: int, count: int) -> bytes:
    with path.open("rb") as file:
        return os.pread(file.fileno(), count, start)
