"""What an optimizer holds: its settings, and its moments as placements.

Also of one that the program has dropped.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import trees
from ..run import watch
from ..trees import mx
from . import digests, facts, tensors

_lefts = 0


@dataclass(frozen=True)
class LastState:
    """What an optimizer held when the program dropped it.

    Its rows, and the file that has the bytes by digest.
    """

    row: dict[str, Any]
    rows: list[dict[str, Any]]
    file: Path


def state(number: str, optimizer: Any, arrays: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """As `rows`, of an optimizer that lives or of what one left."""
    if not isinstance(optimizer, LastState):
        return rows(number, optimizer, arrays)
    if optimizer.file.exists():
        for digest, array in _read(optimizer.file).items():
            arrays.setdefault(digest, array)
    return optimizer.row, [dict(row) for row in optimizer.rows]


def _read(file: Path) -> dict[str, Any]:
    """The arrays of a file that an optimizer left.

    By its descriptor's name, since mlx takes no path that is no UTF-8, and never as a file of Python's: a
    thread of mlx lets go of that one, at a moment of its own, and where the interpreter ends just then the
    process is aborted.
    """
    with file.open("rb") as opened:
        found: dict[str, Any] = mx().load(f"/dev/fd/{opened.fileno()}", format="safetensors")
        mx().eval(found)
    return found


def rows(number: str, optimizer: Any, arrays: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The row of an optimizer, and those of its moments, whose arrays go into `arrays` by digest."""
    state = dict(trees.flatten(trees.optimizer_state(optimizer)))
    computed = tensors.evaluated(state)
    measured = watch.options.get("moments", True)
    moments = {name: array for name, array in state.items() if measured and array.ndim > 0}
    placements = []
    total = 0.0
    for name, array in moments.items():
        row = {
            "name": f"optimizer.{name}" if number == "o0" else f"optimizer.{number}.{name}",
            "dtype": tensors.dtype_name(array),
            "shape": list(array.shape),
            "nbytes": array.nbytes,
            "trainable": None,
            "evaluated": computed[name],
            "role": "optimizer",
        }
        placements.append(row | digests.read(array, arrays))
        total += facts.square_norm(array)
    told = {
        "optimizer": number,
        **facts.optimizer(optimizer),
        "state_tensors": len(moments),
        "state_l2": total**0.5,
        "state_evaluated": all(value is not False for value in computed.values()),
    }
    return told, placements


def left(number: str, optimizer: Any) -> LastState:
    """Write what an optimizer holds, for the next capture of a model that it updated."""
    global _lefts
    arrays: dict[str, Any] = {}
    row, placements = rows(number, optimizer, arrays)
    with watch.lock:
        file, _lefts = watch.directory / f".left-{_lefts}.safetensors", _lefts + 1
    need = sum(array.nbytes for array in arrays.values())
    if need and shutil.disk_usage(watch.directory).free >= 2 * need:
        tensors.write(file, arrays)
    return LastState(row, placements, file)
