"""What two captures of a run say together.

Differences of tensors and of answers, and what fusing left of an adapter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from forensics.capture import deltas
from forensics.capture.fusepoints import Fused
from forensics.capture.fusion import fusions
from forensics.capture.rows import Record
from forensics.capture.sources import Sources
from forensics.records import Row
from forensics.tensors import measure
from forensics.tensors.values import Values, compared, parts


class Between:
    """Fills deltas, probe_deltas and fusions into the later record of each pair."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._measured: set[tuple[str, str]] = set()
        self._values = Values(sources.read, {})

    def fill(self, records: Sequence[Record], fused: Fused, main: str) -> None:
        """Measure each capture against its partners, and fused weights against the adapter.

        The partners are those of `deltas.partners`; `fused` says what was fused, `main` is the model that was
        trained.
        """
        by_ref = {r.ref: r for r in records}
        placements = (p for r in records for p in r.rows("placements"))
        self._values = Values(self._sources.read, parts(placements))
        for a, b in deltas.partners([r.named for r in records]):
            before, after = by_ref[a.ref], by_ref[b.ref]
            after.rows("deltas").extend(self._deltas(before, after))
            after.rows("probe_deltas").extend(self._probes(before, after, by_ref))
        self._forms(records, main)
        for adapter, later in self._fused(records, fused):
            rows = list(self._fusions(adapter, later))
            # else an adapter was taken off again, and nothing meant more
            if later in fused or _written_of(adapter, later) or any(row["realised_l2"] for row in rows):
                later.rows("fusions").extend(rows)

    # -- tensors ---------------------------------------------------------------------------------------------

    def _deltas(self, a: Record, b: Record) -> Iterator[Row]:
        pairs = set(deltas.changed_digests(a.rows("placements"), b.rows("placements")))
        pairs |= set(deltas.changed_digests(_by_value(a), _by_value(b)))
        return self._measure(pairs)

    def _measure(self, pairs: set[tuple[str, str]]) -> Iterator[Row]:
        pairs = pairs - self._measured
        self._measured |= pairs
        return (delta.row() for delta in compared(self._values, sorted(pairs)))

    def _forms(self, records: Sequence[Record], main: str) -> None:
        """Other models of the run, where they may hold what was trained in another type or packing."""
        of_main = [r for r in records if r.named.model == main]
        starts, ends = ([r for r in of_main if r.named.point == point] for point in ("start", "end"))
        if not starts or not ends:
            return
        types = {str(t["digest"]): t["dtype"] for r in records for t in r.rows("tensors")}
        trained = starts[0].rows("placements"), ends[-1].rows("placements")
        for other in records:
            if other.named.model != main:
                pairs = set(deltas.other_forms(*trained, other.rows("placements"), types))
                other.rows("deltas").extend(self._measure(pairs))

    # -- answers ---------------------------------------------------------------------------------------------

    def _probes(self, a: Record, b: Record, by_ref: Mapping[str, Record]) -> Iterator[Row]:
        one, other = (by_ref.get(str(r.head["probes_of"]), r) for r in (a, b))
        if one is other:
            return
        measured = {
            (str(d["capture_a"]), str(d["capture_b"]))
            for r in by_ref.values()
            for d in r.rows("probe_deltas")
        }
        if (one.ref, other.ref) not in measured:
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
                among = trained or earlier
                # the file of an adapter holds neither the weights under it nor its scale
                yield ([r for r in among if _has_base(r)] or among)[-1], later

    def _fusions(self, adapter: Record, fused: Record) -> Iterator[Row]:
        placements = {r.ref: r.rows("placements") for r in (adapter, fused)}
        digests = {
            (ref, str(p["name"])): p["value_digest"] or (None if p.get("packing") else p["digest"])
            for ref, rows in placements.items()
            for p in rows
        }

        def values(capture: str, name: str) -> NDArray[np.float32] | None:
            digest = digests.get((capture, name))
            raw = self._values.read(str(digest)) if digest else None
            return measure.values(raw) if raw is not None else None

        return fusions(adapter.ref, fused.ref, placements, adapter.rows("modules"), values)


def _adapted(record: Record) -> bool:
    return any(p["role"] in ("lora_a", "lora_b") for p in record.rows("placements"))


def _has_base(record: Record) -> bool:
    return any(p["role"] == "base" for p in record.rows("placements"))


def _written_of(adapter: Record, later: Record) -> bool:
    """Is the later one a file of whole weights that was written of the model that had the adapter?"""
    return (
        later.named.point == "saved"
        and later.head.get("updates") == adapter.head.get("updates")
        and not _adapted(later)
        and later.named.model == adapter.named.model
    )


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
