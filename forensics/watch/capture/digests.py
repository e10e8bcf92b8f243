"""Digests of arrays, and over parameters and settings.

They tell whether two captures of a model are equal.
"""

from __future__ import annotations

import contextlib
import weakref
from typing import Any

from .. import trees
from ..originals import hashlib, json
from . import budget, tensors

_of_array: dict[int, tuple[Any, str]] = {}
"""Of an array's id: a weak reference to it and its digest, since the last moment at which training ran."""


def settings(module: Any) -> str:
    """The digest over classes, scales and plain attributes of all modules.

    Beside the parameters they decide the output.
    """
    return digest(
        [
            (path, type(each).__name__, trees.scale(each), trees.plain(each))
            for path, each in trees.modules(module)
        ]
    )


def digest_of(array: Any) -> str:
    """The digest of an array, remembered for the array object until `forget`."""
    entry = _of_array.get(id(array))
    if entry is not None and entry[0]() is array:
        return entry[1]
    digest = tensors.digest(array)
    with contextlib.suppress(TypeError):
        _of_array[id(array)] = (weakref.ref(array), digest)
    return digest


def forget() -> None:
    """Forget digests by array, because the program ran: an array object may hold other bytes than before.

    `w[0] = 5` keeps the object.
    """
    _of_array.clear()


def parameters(module: Any) -> str:
    """The digest over names and digests of all parameters, read now."""
    return digests(trees.parameters(module))


def digests(arrays: dict[str, Any]) -> str:
    """The digest over the names and digests of these arrays."""
    return digest({name: digest_of(array) for name, array in arrays.items()})


def read(array: Any, arrays: dict[str, Any]) -> dict[str, Any]:
    """What a placement says of an array's bytes: `digest`, `file` where they lie in one, or `error`.

    The array goes into `arrays`.
    """
    try:
        digest = digest_of(array)
    except Exception as error:  # noqa: BLE001   a placeholder, or a computation that fails: evidence in itself
        return {"digest": None, "error": f"{type(error).__name__}: {str(error).splitlines()[0]}"[:300]}
    file = budget.file_of(array, digest)
    arrays.setdefault(digest, array)
    return {"digest": digest} | ({"file": file} if file else {})


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, default=str, sort_keys=True).encode()).hexdigest()
