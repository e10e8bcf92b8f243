"""The index of a model in several files: `weight_map` says which tensor stands in which."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from forensics.errors import UnreadableModel
from forensics.model.configs import page


def shards(index: Path) -> list[Path]:
    """The shards that an index names, in order; each is there, beside the index.

    Raises:
        UnreadableModel: the index is no index, names files outside its directory, or files that are not
        there.
    """
    document = page(index, required=True)
    weights = document.get("weight_map")
    if not isinstance(weights, dict) or not weights or not all(isinstance(v, str) for v in weights.values()):
        raise UnreadableModel(
            "The index names no shards.", where=str(index), hint="It needs a weight_map from tensor to file."
        )
    names = sorted(set(weights.values()))
    outside = [
        n
        for n in names
        if PurePosixPath(n).is_absolute() or "\\" in n or ".." in PurePosixPath(n).parts or not n
    ]
    if outside:
        raise UnreadableModel(
            f"The index names a shard outside its directory: {outside[0][:100]!r}.",
            where=str(index),
            hint="Download the model again, from a source that you trust.",
        )
    missing = [n for n in names if not (index.parent / n).is_file()]
    if missing:
        raise UnreadableModel(
            f"{len(missing)} of {len(names)} shards are missing:"
            f" {', '.join(missing[:3])}{' ...' if missing[3:] else ''}.",
            where=str(index.parent),
            hint="Finish the download, or copy the missing files there.",
        )
    return [index.parent / n for n in names]


def complete(index: Path, places: Mapping[str, str]) -> None:
    """Each tensor stands in the shard that the index says; `places` is tensor to file name.

    Raises:
        UnreadableModel: one does not.
    """
    named = page(index)["weight_map"]
    absent = [name for name, file in named.items() if places.get(name) != PurePosixPath(file).name]
    if absent:
        raise UnreadableModel(
            f"{len(absent)} tensors are not in the shards that the index names, first {absent[0][:80]!r}.",
            where=str(index),
            hint="Finish the download: index and shards are of different versions.",
        )
