"""Parameters that are put into another type, and are what they were but for its rounding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import trees
from ..run import watch

_READ = 1 << 20  # bytes of the smallest tensors that are held against what stood there


def ids(arrays: Mapping[str, Any]) -> list[int]:
    """Which arrays these are."""
    return [id(array) for array in arrays.values()]


def would(before: Mapping[str, Any], given: Any) -> bool:
    """Would all these arrays be of another floating type than those of the same name?"""
    with watch.looking("a cast"):
        new = {name: array for name, array in trees.flatten(given) if before.get(name) is not array}
        return bool(new) and all(_other_type(before.get(name), array) for name, array in new.items())
    return False


def happened(module: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Is what was put in place in a module what stood there, in another type?

    All are of another type. That they are equal is looked at where it costs little: the smallest tensors,
    trainable ones first, since an average of weights differs in these.
    """
    new = {name: array for name, array in after.items() if before.get(name) is not array}
    if not new or not all(_other_type(before.get(name), array) for name, array in new.items()):
        return False
    core, room, trainable = trees.mx(), _READ, trees.trainable(module)
    for name, array in sorted(new.items(), key=lambda pair: (pair[0] not in trainable, pair[1].nbytes)):
        room -= array.nbytes
        if room < 0:
            break
        if not core.array_equal(before[name].astype(array.dtype), array, equal_nan=True).item():
            return False
    return True


def _other_type(old: Any, new: Any) -> bool:
    return (
        old is not None
        and old.shape == new.shape
        and old.dtype != new.dtype
        and bool(trees.unit(old.dtype) and trees.unit(new.dtype))
    )
