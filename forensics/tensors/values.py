"""Tensors by what they mean, and how far two of them are apart.

Packed weights are dense, tensors of another layout as mlx-lm has them. They are read by digest: of a tensor's
bytes, or of its value where that is another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from forensics.errors import ForensicsError
from forensics.records import Delta, RawTensor, Row
from forensics.tensors.digest import Packing, unpacked, value_digest
from forensics.tensors.workers import Workers, kernels_for

Read = Callable[[str], RawTensor | None]


@dataclass(frozen=True, slots=True)
class Parts:
    """Digests of the tensors that make up a value, and how they do; without scales: of one, in `layout`."""

    weight: str
    scales: str | None
    biases: str | None
    packing: Packing | None
    layout: str


def parts(placements: Iterable[Row]) -> dict[str, Parts]:
    """What makes up each value, by its digest; `placements` are rows of any captures."""
    rows = list(placements)
    digests = {(p.get("capture"), str(p["name"])): p["digest"] for p in rows}
    found: dict[str, Parts] = {}
    for p in rows:
        if not p["value_digest"] or not p["digest"]:
            continue
        prefix = str(p["name"]).removesuffix("weight")
        scales, biases = (digests.get((p.get("capture"), prefix + leaf)) for leaf in ("scales", "biases"))
        packing, layout = unpacked(p.get("packing")), str(p.get("layout") or "")
        made = Parts(str(p["digest"]), _text(scales), _text(biases), packing, layout)
        found.setdefault(str(p["value_digest"]), made)
    return found


def _text(value: object) -> str | None:
    return None if value is None else str(value)


class Values:
    """Tensors of captures, read as values."""

    def __init__(self, read: Read, of: Mapping[str, Parts]) -> None:
        """`read` gives a tensor's bytes by digest; `of` as `parts`."""
        self._bytes, self._parts = read, of
        self._bits = {p.weight: p.packing.bits if p.packing else 0 for p in of.values() if p.scales}

    def read(self, digest: str) -> RawTensor | None:
        """The tensor, or the value, of a digest; None where bytes are gone or cannot be read."""
        return _lying(self._value, digest)

    def pair(self, x: str, y: str) -> tuple[RawTensor | None, RawTensor | None]:
        """Two that are to be compared: packed ones as codes, since the words that hold them say nothing."""
        if (x in self._bits) != (y in self._bits):
            return None, None  # codes of the one, words of the other
        read = self._codes if x in self._bits else self._value
        return _lying(read, x), _lying(read, y)

    def _value(self, digest: str) -> RawTensor | None:
        made = self._parts.get(digest)
        if made is None:
            return self._bytes(digest)
        return self._dense(digest, made) if made.scales else self._arranged(made)

    def _codes(self, digest: str) -> RawTensor | None:
        from forensics.tensors.quantized import codes  # NumPy: not where nothing is left to measure

        weight = self._bytes(digest)
        return codes(weight, self._bits[digest]) if weight else None

    def _arranged(self, made: Parts) -> RawTensor | None:
        from forensics.tensors.layout import arranged  # NumPy, as above

        raw = self._bytes(made.weight)
        return arranged(raw, made.layout) if raw else None

    def _dense(self, digest: str, made: Parts) -> RawTensor | None:
        from forensics.tensors.quantized import dense  # NumPy, as above

        how, scales_of = made.packing, made.scales
        if how is None or scales_of is None:
            return None
        if value_digest(*how, made.weight, scales_of, made.biases) != digest:
            return None  # a stranger's rows may say that other parts have the digest of a value of ours
        weight, scales = self._bytes(made.weight), self._bytes(scales_of)
        biases = self._bytes(made.biases) if made.biases else None
        if weight is None or scales is None:
            return None
        return dense(weight, scales, biases, bits=how.bits, group_size=how.group_size, mode=how.mode)


def compared(values: Values, pairs: Iterable[tuple[str, str]]) -> list[Delta]:
    """The differences of pairs of digests; those whose bytes are gone or whose shapes differ are left out."""
    lying = ((x, y, *values.pair(x, y)) for x, y in pairs)
    there: Sequence[tuple[str, str, RawTensor, RawTensor]] = [
        (x, y, a, b) for x, y, a, b in lying if a and b and a.shape == b.shape
    ]
    kernels_for(sum(a.nbytes for _, _, a, _ in there))
    done = Workers().map(lambda pair: _delta(*pair), there, lambda pair: pair[2].nbytes, far=False)
    return [delta for delta in done if delta is not None]


def _delta(x: str, y: str, a: RawTensor, b: RawTensor) -> Delta | None:
    from forensics.tensors.deltas import difference  # NumPy, as above

    try:
        return difference(a, b, x, y)
    except (OSError, ForensicsError):
        return None


def _lying(read: Read, digest: str) -> RawTensor | None:
    try:
        return read(digest)
    except (OSError, ForensicsError, ValueError):
        return None
