"""Reading a stranger's bundle, seen from the parent.

The reader is a process of its own; it gets the tensors that are here for those stored as differences.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from forensics import files
from forensics.bundle import child
from forensics.store.packs import Packs

Told = Mapping[str, Any]
"""What the reader answers: id, level, runs, captures, dropped, waiting, against, signed, left_out, made_by,
text.
"""


def inspect(path: Path) -> Told:
    """What a bundle's manifest says: id, runs, captures, level.

    Raises:
        DamagedEvidence: it is no bundle, or its manifest does not hold.
    """
    return _read(path, None, {}, {}, keep=False)


def check(path: Path) -> Told:
    """Check a bundle whole, every member and tensor, and keep nothing; as `inspect`."""
    with files.temporary("check") as directory:
        return _read(path, directory, {}, {}, keep=False)


def rebuild(path: Path, target: Path, names: Mapping[str, str], packs: Packs, bases: Iterable[str]) -> Told:
    """Check a bundle whole and write it into a store at `target`, its runs under `names`; as `inspect`.

    Args:
        packs: where `bases` are looked for, the digests of tensors that others in the bundle differ from.
    """
    places = {digest: place for digest in dict.fromkeys(bases) if (place := packs.place(digest)) is not None}
    available = {
        d: (str((packs.root / p.pack).resolve()), p.dtype, p.shape, p.begin, p.end) for d, p in places.items()
    }
    return _read(path, target, names, available, keep=True)


def _read(
    path: Path, target: Path | None, names: Mapping[str, str], bases: Mapping[str, Any], *, keep: bool
) -> Told:
    where = str(target.resolve()) if target else None
    arguments = {"target": where, "names": dict(names), "tensors": keep, "bases": bases}
    return child.run("reader.process", path, arguments, sum(end - begin for *_, begin, end in bases.values()))
