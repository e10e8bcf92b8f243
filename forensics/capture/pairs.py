"""What two captures of a run say together.

Differences of tensors and of answers, and what fusing left of an adapter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from forensics.capture import deltas
from forensics.capture.fused import Fused
from forensics.capture.fusion import fusions
from forensics.capture.live import Record
from forensics.capture.sources import Sources
from forensics.errors import ForensicsError
from forensics.records import RawTensor, Row
from forensics.tensors import measure


class Between:
    """Fills deltas, probe_deltas and fusions into the later record of each pair."""

    def __init__(self, sources: Sources, executor: Executor) -> None:
        self._sources, self._executor = sources, executor
        self._measured: set[tuple[str, str]] = set()
        self._values: dict[str, tuple[Record, str]] = {}  # value digest -> where its parts stand
        self._bits: dict[str, int] = {}  # digest of a packed weight -> bits of a code

    def fill(self, records: Sequence[Record], fused: Fused) -> None:
        """Measure each capture against its partners, and fused weights against the adapter.

        The partners are those of `changes.partners`; `fused` says what was fused.
        """
        by_ref = {r.ref: r for r in records}
        for record in records:
            for p in record.rows("placements"):
                if p["value_digest"] and p["name"] in record.quantization:
                    self._values.setdefault(str(p["value_digest"]), (record, str(p["name"])))
                    bits = record.quantization[str(p["name"])].get("bits")
                    self._bits[str(p["digest"])] = bits if isinstance(bits, int) else 0
        for a, b in deltas.partners([r.named for r in records]):
            before, after = by_ref[a.ref], by_ref[b.ref]
            after.rows("deltas").extend(self._deltas(before, after))
            after.rows("probe_deltas").extend(self._probes(before, after, by_ref))
        for adapter, later in self._fused(records, fused):
            rows = list(self._fusions(adapter, later))
            if later in fused or any(
                row["realised_l2"] for row in rows
            ):  # else an adapter was taken off again, and nothing meant more
                later.rows("fusions").extend(rows)

    # -- tensors ---------------------------------------------------------------------------------------------

    def _deltas(self, a: Record, b: Record) -> Iterator[Row]:
        pairs = set(deltas.changed_digests(a.rows("placements"), b.rows("placements")))
        pairs |= set(deltas.changed_digests(_by_value(a), _by_value(b)))
        pairs -= self._measured
        self._measured |= pairs
        packed = {pair for pair in pairs if self._bits.keys() >= set(pair)}
        # of others one side has codes, and the other words
        plain = {pair for pair in pairs if not self._bits.keys() & set(pair)}
        yield from deltas.deltas(packed, self._codes, self._executor)
        yield from deltas.deltas(plain, self.read, self._executor)

    def _codes(self, digest: str) -> RawTensor | None:
        weight = self._sources.read(digest)
        try:
            return weight and measure.codes(weight, self._bits[digest])
        except ValueError:
            return None

    def read(self, digest: str) -> RawTensor | None:
        """The tensor of a digest; of a value digest the dense weight."""
        if digest not in self._values:
            return self._sources.read(digest)
        record, name = self._values[digest]
        return self._dense(record, name)

    def _dense(self, record: Record, name: str) -> RawTensor | None:
        digests = {str(p["name"]): p["digest"] for p in record.rows("placements")}
        prefix = name.removesuffix("weight")
        weight, scales, biases = (
            self._sources.read(str(d)) if (d := digests.get(prefix + leaf)) else None for leaf in _PARTS
        )
        if weight is None or scales is None:
            return None
        how = record.quantization[name]
        try:
            return measure.dense(
                weight,
                scales,
                biases,
                bits=int(how["bits"]),
                group_size=int(how["group_size"]),
                mode=str(how.get("mode") or "affine"),
            )
        except (ForensicsError, ValueError, KeyError):
            return None

    # -- answers ---------------------------------------------------------------------------------------------

    def _probes(self, a: Record, b: Record, by_ref: Mapping[str, Record]) -> Iterator[Row]:
        one, other = (by_ref.get(str(r.head["probes_of"]), r) for r in (a, b))
        if one is other:
            return
        held = {
            (str(d["capture_a"]), str(d["capture_b"]))
            for r in by_ref.values()
            for d in r.rows("probe_deltas")
        }
        if (one.ref, other.ref) not in held:
            yield from deltas.probe_deltas(
                one.ref, other.ref, one.rows("transcripts"), other.rows("transcripts"), self._sources.read
            )

    # -- fusing ----------------------------------------------------------------------------------------------

    def _fused(self, records: Sequence[Record], fused: Fused) -> Iterator[tuple[Record, Record]]:
        """(trained adapter, later capture whose weights may hold it).

        The later one is of the same model, of its file, or of any that fusing reached. A later
        capture that has an adapter of its own may have it on weights into which it was fused.
        """
        for i, later in enumerate(records):
            if not later.rows("placements"):
                continue
            again, reached = _adapted(later), later in fused
            earlier = [r for r in records[:i] if _adapted(r) and _before(r, later)]
            earlier = [
                r
                for r in earlier
                if (
                    r.named.model != later.named.model
                    if again
                    else reached or r.named.model == later.named.model
                )
            ]
            trained = [r for r in earlier if r.head.get("updates")]
            if trained or (earlier and not again):
                yield (trained or earlier)[-1], later

    def _fusions(self, adapter: Record, fused: Record) -> Iterator[Row]:
        placements = {r.ref: r.rows("placements") for r in (adapter, fused)}
        records = {r.ref: r for r in (adapter, fused)}

        def values(capture: str, name: str) -> NDArray[np.float32] | None:
            record = records[capture]
            if name in record.quantization:
                raw = self._dense(record, name)
            else:
                digest = next((p["digest"] for p in record.rows("placements") if p["name"] == name), None)
                raw = self._sources.read(str(digest)) if digest else None
            return measure.values(raw) if raw is not None else None

        return fusions(adapter.ref, fused.ref, placements, adapter.rows("modules"), values)


_PARTS = ("weight", "scales", "biases")


def _adapted(record: Record) -> bool:
    return any(p["role"] in ("lora_a", "lora_b") for p in record.rows("placements"))


def _before(a: Record, b: Record) -> bool:
    """A file stands among the captures by its number, and was written at a time of its own."""
    return str(a.head["created_at"]) <= str(b.head["created_at"])


def _by_value(record: Record) -> list[Row]:
    """Placements of weights under their value digest, where that differs from the digest of their codes."""
    return [
        {**p, "digest": p["value_digest"] or p["digest"]}
        for p in record.rows("placements")
        if p["leaf"] == "weight"
    ]
