"""Asks a model that says one thing of each row whether that hangs on the padding behind the row.

A row alone is held against the same row without its padding, on the program's own first batch. It is told
where the program calls the model with rows of another width, since only there it matters.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any

from .. import places, trees
from ..capture.isolation import still
from ..models import Model
from ..run import watch
from ..trees import mx
from . import encoded, firstbatch, steps
from .selftest import NotRunError, move

_MODELS = 2  # models of a process that are tested
_ROWS = 3  # rows of the batch that are asked
_HELD = 16 << 20  # bytes of arguments that are held


@dataclass
class _Batch:
    """The first call of a model: what was called, with what, and which of its arrays are token ids."""

    model: Model
    module: Any  # weak reference
    given: Any
    ids: Any  # (rows, width)
    told: dict[str, Any] = field(default_factory=dict)  # the row of `selftests`, until another width comes


_batches: dict[str, _Batch] = {}  # by model


def remember(model: Model, module: Any, given: Any, output: Any) -> None:
    """Hold the first call of a model that answers rows of token ids with numbers, one set for each row."""
    if (
        watch.options.get("selftest") == "off"
        or model.number in _batches
        or len(_batches) >= _MODELS
        or steps.local.traces
        or trees.is_array(module)
    ):
        return
    arrays = trees.leaves(given)
    ids = _ids(arrays)
    if ids is None or not trees.is_array(output) or firstbatch.unknown_argument(given) is not None:
        return
    core = mx()
    alone = output.ndim in (1, 2) and output.shape[0] == ids.shape[0]
    if not alone or not core.issubdtype(output.dtype, core.floating):
        return
    if sum(array.nbytes for array in arrays) > _HELD or not all(_cuts(array, ids) for array in arrays):
        return
    held = trees.replaced(given, iter([core.stop_gradient(array) for array in arrays]))
    _batches[model.number] = _Batch(model, weakref.ref(module), held, core.stop_gradient(ids))


def look() -> None:
    """Test the models whose first batch is known and not tested yet."""
    for batch in _batches.values():
        if batch.told or watch.tracing or watch.local.gradient:
            continue
        common = {"model": batch.model.number, "test": "padding"}
        batch.told = common | {"place": places.forward(batch.module())}
        try:
            batch.told |= _tested(batch)
        except Exception as error:  # noqa: BLE001   the model is the program's own, and may refuse what we ask
            kind = error.kind if isinstance(error, NotRunError) else "unseen"
            batch.told |= {"kind": kind, "why": str(error)[:300]}
        batch.given = None


def called(model: Model, given: Any) -> None:
    """The program calls a model: with another width of rows, what was found is told."""
    batch = _batches.get(model.number)
    if batch is None or not batch.told:
        return
    ids = _ids(trees.leaves(given))
    if ids is not None and ids.shape[1] != batch.ids.shape[1]:
        told, batch.told = batch.told, {"written": True}
        if "written" not in told:
            watch.row("selftests", **told)


def _ids(arrays: list[Any]) -> Any:
    core = mx()
    return next(
        (each for each in arrays if each.ndim == 2 and core.issubdtype(each.dtype, core.integer)), None
    )


def _cuts(array: Any, ids: Any) -> bool:
    """Can a row, and columns behind it, be taken out of this array?"""
    rows, width = ids.shape
    return bool(array.ndim and array.shape[0] == rows and width not in array.shape[2:])


def _tested(batch: _Batch) -> dict[str, Any]:
    root, module = batch.model.module, batch.module()
    if root is None or module is None:
        raise NotRunError("unseen", "the program has dropped the model")
    lines: list[list[int]] = batch.ids.tolist()
    tails = padded_rows(lines)[:_ROWS]
    if not tails:
        raise NotRunError("absent", "no row of the first batch has padding behind it")
    core, found, rounding = mx(), [], 0.0
    with still(root, evaluation=True):
        whole = module(*batch.given[0], **batch.given[1]).astype(core.float32)
        spread = _apart(whole.reshape(len(lines), -1))
        padded = [_row(batch, module, row, 0) for _, row in tails]
        for (tail, row), then in zip(tails, padded, strict=True):
            found.append(_far(_row(batch, module, row, tail - 1), then))
        again = _far(_row(batch, module, tails[0][1], 0), padded[0])
        move(root)
        rounding = _far(_row(batch, module, tails[0][1], 0), padded[0])
    told = {"samples": len(found), "least": min(found), "most": max(found), "scale": spread}
    return told | {"repeat": again, "rounding": max(rounding, again), "tokens": batch.ids.size}


def padded_rows(lines: list[list[int]]) -> list[tuple[int, int]]:
    """(tokens of padding behind it, row) of rows with some, most first.

    An id that ends a row several times pads it where no other id follows it in any row.
    """
    tails = [(encoded.run(line[::-1]), row) for row, line in enumerate(lines)]
    inside = {number for tail, row in tails for number in lines[row][: len(lines[row]) - tail]}
    found = [(tail, row) for tail, row in tails if 1 < tail < len(lines[row]) - 1]
    return sorted(((tail, row) for tail, row in found if lines[row][-1] not in inside), reverse=True)


def _row(batch: _Batch, module: Any, row: int, cut: int) -> Any:
    """What the model says of one row alone, `cut` columns of its padding left out. Evaluated."""
    width = batch.ids.shape[1]
    arrays = []
    for array in trees.leaves(batch.given):
        own = array[row : row + 1]
        arrays.append(own[:, : width - cut] if own.ndim > 1 and own.shape[1] == width else own)
    args, kwargs = trees.replaced(batch.given, iter(arrays))
    found = module(*args, **kwargs).astype(mx().float32)
    mx().eval(found)
    return found


def _apart(outputs: Any) -> float:
    """How far two rows of (rows, numbers) are apart, in the mean over all pairs, as `_far` measures it."""
    rows = int(outputs.shape[0])
    pairs = mx().abs(outputs[:, None] - outputs[None]).max(-1).sum()
    return float(pairs.item()) / max(rows * (rows - 1), 1)


def _far(found: Any, other: Any) -> float:
    if found.shape != other.shape:
        raise NotRunError("unseen", "the model answers a row alone in another form")
    return float(mx().abs(found - other).max().item())
