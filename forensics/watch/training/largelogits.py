"""Logits that are too many to be held until their cotangent is there.

A program may write the cotangent over its logits, or over what it made of them; who reads both at once keeps
an array of their size alive that it had let go. Of so many logits is read where they are made, what the
cotangent g alone does not tell: the log of the sum, the largest entry, some entries, and in kept steps the
whole of some positions. For a cross-entropy g = w (p - onehot(y)), so y is the extreme of g, and
w = g_o / p_o at any other entry o.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..trees import mx
from . import logits
from .logits import alone, unfused, wide

_HELD = 1 << 23  # elements of the positions that are read whole in a kept step


@dataclass(frozen=True)
class Read:
    """What was read of logits (n, vocabulary) where they were made; `arrays` in the order of `held`."""

    total: Any  # (n, 1) float32: logsumexp
    top: Any  # (n, 1): the largest entry
    most: Any  # (n, 1) float32: the logit there
    some: Any  # (n, entries): every so many entries
    positions: Any = None  # every so many positions whole; None where the step is not kept

    @property
    def held(self) -> list[Any]:
        """Its arrays, as they are inputs of a node within a compiled function."""
        few = [self.total, self.top, self.most, self.some]
        return few if self.positions is None else [*few, self.positions]


def read(z: Any, in_full: bool | None) -> Read | None:
    """Of logits (..., vocabulary) that are too many to be held; None where they are few.

    Args:
        in_full: is every position of this step written? None: it may be.
    """
    if logits.whole(z):
        return None
    core = mx()
    z = unfused(core.stop_gradient(z).reshape(-1, z.shape[-1]))
    # those of 16 bits are widened, some at a time
    total, top, most = _most(z, z) if z.dtype == core.float32 else logits._by_blocks(_most, z, z)
    some = core.contiguous(z[:, :: _apart(z.shape[-1])])
    whole = None if in_full is False else core.contiguous(z[:: _stride(z)])
    return Read(total, top, most, some, whole)


def brief(seen: Read, g: Any) -> dict[str, Any]:
    """As `logits.reduce` in brief."""
    return _named(_few(seen, _flat(g)), g)


def full(seen: Read, g: Any) -> dict[str, Any]:
    """As `logits.reduce`: all positions in brief, and those that were held whole; with `softmaxed`."""
    core, flat = mx(), _flat(g)
    stride = _stride(flat)
    held, some = unfused(seen.positions), unfused(flat[::stride])
    whole = logits._by_blocks(logits._all, held, some)
    columns = logits.completed(_few(seen, flat), whole, core.arange(0, flat.shape[0], stride))
    return _named(columns, g) | {"softmaxed": logits.softmaxed(held, some)}


def _most(z: Any, _: Any) -> tuple[Any, Any, Any]:
    core = mx()
    top, z = core.argmax(z, -1, keepdims=True), wide(z)
    return core.logsumexp(z, -1, keepdims=True), top, core.take_along_axis(z, top, -1)


def _few(seen: Read, g: Any) -> tuple[Any, Any, Any, Any]:
    """Target, weight, residual and mass of each position."""
    core, apart = mx(), _apart(g.shape[-1])
    some, p = wide(g[:, ::apart]), logits._times(wide(unfused(seen.some)), seen.total)
    positive = alone(core.greater, logits._side(some), 0.0)
    y = alone(core.where, positive, core.argmin(g, -1, keepdims=True), core.argmax(g, -1, keepdims=True))
    places = core.array(list(range(0, g.shape[-1], apart)), dtype=y.dtype)
    own = alone(
        core.equal, unfused(core.broadcast_to(places, some.shape)), unfused(core.broadcast_to(y, some.shape))
    )
    some, p = (alone(core.where, own, 0.0, each) for each in (some, p))
    # the other entry: the largest logit, or where that is the target the largest of the sampled ones
    at = core.argmax(p, -1, keepdims=True)
    is_top = alone(core.equal, y, unfused(seen.top))
    g_o = alone(core.where, is_top, core.take_along_axis(some, at, -1), _at(g, seen.top))
    p_o = logits._times(seen.most, seen.total)
    p_o = alone(core.where, is_top, core.take_along_axis(p, at, -1), p_o)
    w = alone(core.divide, g_o, alone(core.maximum, p_o, 1e-30))
    factor = alone(core.divide, logits._sum(some), alone(core.maximum, logits._sum(p), 1e-30))
    off = alone(core.abs, alone(core.subtract, some, alone(core.multiply, factor, p)))
    size = alone(core.maximum, logits._sum(alone(core.abs, some)), 1e-30)
    residual = alone(core.divide, logits._sum(off), size)
    mass = alone(core.multiply, alone(core.abs, _at(g, y)), 2.0)
    return y[:, 0].astype(core.int32), w[:, 0], residual[:, 0], mass[:, 0]


def _at(g: Any, entry: Any) -> Any:
    return wide(mx().take_along_axis(g, unfused(entry), -1))


def _flat(g: Any) -> Any:
    return unfused(mx().stop_gradient(g).reshape(-1, g.shape[-1]))


def _named(columns: Any, g: Any) -> dict[str, Any]:
    shaped = [each.reshape(g.shape[:-1]) for each in columns]
    return dict(zip(("target", "weight", "residual", "mass"), shaped, strict=True))


def _apart(width: int) -> int:
    return max(1, width // logits._ENTRIES)


def _stride(z: Any) -> int:
    return int(-(-z.size // _HELD))
