"""Two models on disk whose bytes are compared first.

This is for `diff` of paths, which needs no digest of what is equal.

Equal tensors get one mark, different ones two, in the place of digests; `compare` then measures the pairs
whose marks differ. What was measured before, by path, size, time and inode, is taken from there instead.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from forensics.errors import UnreadableModel
from forensics.model.checkpoint import Stored
from forensics.model.headers import BITS
from forensics.model.ranges import Range
from forensics.model.remote import is_url
from forensics.records import RawTensor, TensorStats
from forensics.tensors.cache import Measured, recalled
from forensics.tensors.workers import Workers

STEP = 1 << 20
Found = dict[str, Measured]


def compared(a: Sequence[Stored], b: Sequence[Stored]) -> tuple[Found, Found] | None:
    """Each tensor of both by its name, with a mark for a digest and no statistics.

    None where bytes alone do not say what is equal (block types, other layouts), or digests of both are
    remembered: then measure.

    Raises:
        UnreadableModel: a file ended, or changed, while it was read.
    """
    if any(s.layout or s.raw.dtype not in BITS for s in (*a, *b)) or (recalled(a) and recalled(b)):
        return None
    before = states((*a, *b))
    other = {s.mlx_name: s for s in b}
    pairs = [(s, other[s.mlx_name]) for s in a if s.mlx_name in other]
    far = any(map(is_url, before))
    equals = Workers().map(
        _equals, list(_neighbours(pairs)), lambda run: sum(s.raw.nbytes for s, _ in run), far=far
    )
    same = {name: yes for equal in equals for name, yes in equal.items()}
    if before != states((*a, *b)):
        raise UnreadableModel(
            "A model changed while it was read.",
            where=str(a[0].file),
            hint="Try again when nothing writes to it.",
        )
    number = itertools.count()
    marks = {name: f"same bytes {next(number)}" for name, yes in same.items() if yes}
    return _marked(a, marks, number), _marked(b, marks, number)


Pair = tuple[Stored, Stored]


def _neighbours(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    """Pairs of tensors that lie side by side in both files, in runs of a block at most.

    To ask for each by itself costs more than to read it.
    """
    run: list[Pair] = []
    ends, size = (-1, -1), 0
    for a, b in sorted(pairs, key=lambda p: (str(p[0].file), _begin(p[0]))):
        begins = (_begin(a), _begin(b))
        fits = (
            a.raw.nbytes == b.raw.nbytes
            and size + a.raw.nbytes <= STEP
            and begins == ends
            and run[0][1].file == b.file
        )
        if run and not (fits and run[0][0].file == a.file):
            yield run
            run, size = [], 0
        run.append((a, b))
        ends, size = (begins[0] + a.raw.nbytes, begins[1] + b.raw.nbytes), size + a.raw.nbytes
    if run:
        yield run


def _begin(stored: Stored) -> int:
    return stored.raw.read.begin if isinstance(stored.raw.read, Range) else -2


def _equals(run: Sequence[Pair]) -> dict[str, bool]:
    """Of each pair of a run, by name: equal? A run of several is read at once."""
    if len(run) == 1:
        return {a.mlx_name: equal(a.raw, b.raw) for a, b in run}
    size, at = sum(a.raw.nbytes for a, _ in run), 0
    x, y = (bytes(first.raw.read(0, size)) for first in run[0])  # a view compares byte by byte, not as memory
    same: dict[str, bool] = {}
    for a, b in run:
        end = at + a.raw.nbytes
        same[a.mlx_name] = _alike(a.raw, b.raw) and x[at:end] == y[at:end]
        at = end
    return same


def _alike(a: RawTensor, b: RawTensor) -> bool:
    return (a.dtype, a.shape, a.nbytes) == (b.dtype, b.shape, b.nbytes)


def equal(a: RawTensor, b: RawTensor) -> bool:
    """Whether two tensors have one type, one shape and the same bytes.

    Reads no further than the first block that differs.
    """
    if not _alike(a, b):
        return False
    ends = ((start, min(start + STEP, a.nbytes)) for start in range(0, a.nbytes, STEP))
    return all(a.read(*end) == b.read(*end) for end in ends)


def _marked(stored: Sequence[Stored], marks: Mapping[str, str], number: Iterable[int]) -> Found:
    """A tied twin that lies in the file a second time has its twin's mark."""
    numbers = iter(number)
    result: Found = {}
    first: dict[tuple[str, tuple[int, ...]], list[Stored]] = {}
    for s in stored:
        mark = marks.get(s.mlx_name) or f"bytes {next(numbers)}"
        if s.mlx_name.endswith(("lm_head.weight", "embed_tokens.weight")):
            twins = first.setdefault((s.raw.dtype, s.raw.shape), [])
            mark = next((result[t.raw.name].stats.digest for t in twins if equal(t.raw, s.raw)), mark)
            twins.append(s)
        stats = TensorStats(mark, s.raw.dtype, s.raw.shape, math.prod(s.raw.shape), s.raw.nbytes, *[None] * 8)
        result[s.raw.name] = Measured(stats, None)
    return result


def states(stored: Iterable[Stored]) -> dict[Path, tuple[int, int, int]]:
    """What tells each file from what lies at its place later: size, time and inode."""
    stats = ((path, path.stat()) for path in {s.file for s in stored})
    return {path: (state.st_size, state.st_mtime_ns, state.st_ino) for path, state in stats}
