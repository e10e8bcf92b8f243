"""What the cotangent g at logits z tells of the loss.

For a cross-entropy of any making g = w (p - onehot(y)) at one position: every entry but one follows w p, the
one that does not is the target y. With label smoothing the others follow w p - w e / vocabulary instead. What
neither form explains is the `residual`: 0 for cross-entropy, focal and preference losses, 0.1 and more for
others. All of it is computed with the program's own evaluation, in nodes that stay out of its compiled
kernels.
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Callable
from typing import Any

from .. import trees
from ..trees import mx
from . import steps

_BLOCK = 1 << 19  # elements of logits that are reduced at once: bounds the memory of intermediate results
# elements of logits that are held until their cotangent is there, and read whole in a kept step
_WHOLE = 1 << 26
# positions, and entries at each, that stand for all logits where two forwards are compared
_SAMPLE, _WIDTH = (
    16,
    4096,
)
_POSITIONS = 256  # positions of a kept step at which it is asked whether a softmax was taken twice
_ENTRIES = 32  # entries of the vocabulary that are looked at in brief


def after(array: Any, needed: list[Any]) -> Any:
    """The same array or list of arrays, which the program cannot have before `needed` is computed.

    So `needed` is computed with it.
    """
    depends = getattr(mx(), "depends", None)
    if not depends or not needed:
        return array
    return depends(array, needed) if isinstance(array, list) else depends([array], needed)[0]


def print_of(z: Any) -> Any:
    """A number that tells logits apart to the bit, from a sample of positions."""
    core = mx()
    flat = core.stop_gradient(z).reshape(-1, z.shape[-1])
    flat = flat[:: max(1, flat.shape[0] // _SAMPLE), :_WIDTH]
    bits = core.stop_gradient(flat.view(core.uint16 if flat.dtype.size == 2 else core.uint32)).reshape(-1)
    odd = core.array(_odd(bits.size))
    return alone(core.multiply, alone(lambda each: each.astype(core.uint32), bits), odd).sum()


@functools.lru_cache(4)
def _odd(size: int) -> Any:
    """Factors by which places count differently."""
    return memoryview(array("I", [(2654435761 * i + 1) & 0xFFFFFFFF for i in range(size)]))


def reduce(z: Any, g: Any, *, brief: bool = False) -> dict[str, Any]:
    """Target, weight, residual and mass of each position.

    Args:
        z, g: (..., vocabulary) logits and cotangent.
        brief: look at a few entries beside the extremes, in two passes over g in place of some twenty over
        both. Of more than `_WHOLE` entries see `largelogits`.

    Returns: `target` int32, `weight`, `residual`, `mass` (the sum of |g|) float32, each of shape (...).
    """
    core = mx()
    shape, width = z.shape[:-1], z.shape[-1]
    z, g = (unfused(core.stop_gradient(each).reshape(-1, width)) for each in (z, g))
    columns = _few(z, g) if brief else _by_blocks(_all, z, g)
    return {
        name: each.reshape(shape)
        for name, each in zip(("target", "weight", "residual", "mass"), columns, strict=True)
    }


def _by_blocks(look: Callable[..., tuple[Any, ...]], z: Any, g: Any) -> list[Any]:
    """What `look` reads at each position, from one block of positions after the other.

    So no second array of the logits' size is made.
    """
    core = mx()
    rows = max(1, _BLOCK // z.shape[-1])
    parts: list[tuple[Any, ...]] = []
    for i in range(0, z.shape[0], rows):
        before = list(parts[-1]) if parts else []
        parts.append(look(after(z[i : i + rows], before), g[i : i + rows]))
    return [
        column[0] if len(column) == 1 else core.concatenate(column)
        for column in map(list, zip(*parts, strict=True))
    ]


def completed(few: Any, whole: Any, places: Any) -> list[Any]:
    """All positions as they were read in brief, and those at `places` as they were read whole.

    What is left unexplained in brief is no more than what is of those: in brief, label smoothing is not seen.
    """
    core = mx()
    target, weight, residual, mass = map(unfused, few)
    left = alone(core.multiply, whole[2], whole[3]).sum(keepdims=True)
    left = alone(core.divide, left, alone(core.maximum, whole[3].sum(keepdims=True), 1e-30))
    brief = (target, weight, alone(core.minimum, residual, left), mass)
    return [core.put_along_axis(few, places, each, 0) for few, each in zip(brief, whole, strict=True)]


def taught(z: Any, g: Any, weight: Any) -> Any:
    """(1,) float32: the loss whose gradient at z is g, where that is a weighted cross-entropy.

    With g = w (p - q), whatever the targets q are, it is w (logsumexp(z) - q z), summed over all positions.

    Args:
        weight: (...) as `reduce` reads it.
    """
    core = mx()
    width = z.shape[-1]
    z, g = (unfused(core.stop_gradient(each).reshape(-1, width)) for each in (z, g))
    weight = unfused(weight.reshape(-1, 1))
    rows = max(1, _BLOCK // width)
    parts: list[Any] = []
    for i in range(0, z.shape[0], rows):
        some = wide(after(z[i : i + rows], parts[-1:]))
        below = alone(core.subtract, core.logsumexp(some, -1, keepdims=True), some)
        p = alone(core.exp, alone(core.multiply, below, -1.0))
        aim = alone(core.subtract, alone(core.multiply, p, weight[i : i + rows]), wide(g[i : i + rows]))
        parts.append(_sum(alone(core.multiply, aim, below)).sum(keepdims=True).reshape(1))
    return core.concatenate(parts).sum(keepdims=True)


def whole(z: Any) -> bool:
    """Are logits (..., vocabulary) so few that a kept step reads each of them?"""
    return bool(z.size <= _WHOLE)


def softmaxed(z: Any, g: Any) -> Any:
    """(4,) float32 over some positions: are weights those of a cross-entropy of z, or of softmax(z)?

    How much weights differ from one position to another, read both ways, each as deviation over mean
    and by mass; the least entry of z; and how far the sums of its entries are from 1. A loss under a
    mask has equal weights in the one reading that is true.
    """
    core = mx()
    width = z.shape[-1]
    z, g = (core.stop_gradient(each).reshape(-1, width) for each in (z, g))
    stride = -(-z.shape[0] // _POSITIONS)
    plain, twice, mass, least, sums = _by_blocks(_readings, unfused(z[::stride]), unfused(g[::stride]))
    return core.stack([_spread(plain, mass), _spread(twice, mass), least.min(), sums.max()])


def _readings(z: Any, g: Any) -> tuple[Any, ...]:
    """For (n, vocabulary): the weight read both ways, mass, least logit, and how far their sum is from 1."""
    core = mx()
    z, g = wide(z), wide(g)
    p = alone(core.exp, alone(core.subtract, z, core.logsumexp(z, -1, keepdims=True)))
    q = alone(core.exp, alone(core.subtract, p, core.logsumexp(p, -1, keepdims=True)))
    y = core.argmin(alone(core.divide, g, alone(core.maximum, p, 1e-30)), -1, keepdims=True)
    # of one type, uint32 as argmin gives it: a cast would be fused with the comparison into a kernel of ours
    own = alone(
        core.equal, unfused(core.broadcast_to(core.arange(z.shape[-1], dtype=core.uint32), z.shape)), y
    )
    hot = alone(core.where, own, 1.0, 0.0)
    level = alone(core.subtract, core.take_along_axis(p, y, -1), _sum(alone(core.multiply, p, q)))
    double = alone(core.multiply, p, alone(core.subtract, alone(core.add, q, level), hot))
    weights = (_fit(g, shape) for shape in (alone(core.subtract, p, hot), double))
    off = alone(core.abs, alone(core.subtract, _sum(z), 1.0))
    return (*weights, _sum(alone(core.abs, g)), z.min(-1, keepdims=True), off)


def _fit(g: Any, shape: Any) -> Any:
    """The factor of `shape` that comes nearest to g, at each position."""
    core = mx()
    square = alone(core.maximum, _sum(alone(core.square, shape)), 1e-30)
    return alone(core.divide, _sum(alone(core.multiply, g, shape)), square)


def _spread(values: Any, mass: Any) -> Any:
    """Deviation over mean, both by mass."""
    core = mx()
    share = alone(core.divide, mass, alone(core.maximum, mass.sum(), 1e-30))
    mean = alone(core.multiply, share, values).sum()
    off = alone(core.square, alone(core.subtract, values, mean))
    size = alone(core.maximum, alone(core.abs, mean), 1e-30)
    return alone(core.divide, alone(core.sqrt, alone(core.multiply, share, off).sum()), size)


def _all(z: Any, g: Any) -> tuple[Any, Any, Any, Any]:
    """For (n, vocabulary), read off all entries but the target's.

    In 16 bits the target's own entry drowns in rounding.
    """
    core = mx()
    # of 32 bits twice the unit: there the exponentials below round as much as the logits do
    unit = max(trees.unit(z.dtype), 2 * trees.unit("float32"))
    z, g = wide(z), wide(g)
    peak = core.logsumexp(z, -1, keepdims=True)
    p = alone(core.exp, alone(core.subtract, z, peak))
    side = _side(g)
    g = alone(core.multiply, g, side)
    up = alone(core.greater, g, 0.0)
    above = _sum(alone(core.where, up, p, 0.0))
    w = alone(core.divide, _sum(alone(core.maximum, g, 0.0)), alone(core.maximum, above, 1e-30))
    off = alone(core.subtract, g, alone(core.multiply, w, p))
    y = core.argmin(off, -1, keepdims=True)
    at, p_y = core.take_along_axis(off, y, -1), core.take_along_axis(p, y, -1)
    mass = _sum(alone(core.abs, g))
    others = alone(core.subtract, _sum(alone(core.abs, off)), alone(core.abs, at))
    slack = alone(
        core.multiply,
        alone(core.multiply, w, p_y),
        alone(core.multiply, alone(core.add, alone(core.abs, peak), 3.0), unit),
    )
    own = alone(core.maximum, alone(core.subtract, alone(core.abs, alone(core.add, at, w)), slack), 0.0)
    residual = alone(core.divide, alone(core.add, others, own), alone(core.maximum, mass, 1e-30))
    plain = (y, alone(core.multiply, w, side), residual)
    y, w, residual = _smoothed(p, alone(core.multiply, g, side), mass, plain, unit)
    return y[:, 0].astype(core.int32), w[:, 0], residual[:, 0], mass[:, 0]


def _smoothed(p: Any, g: Any, mass: Any, plain: tuple[Any, Any, Any], unit: float) -> tuple[Any, Any, Any]:
    """The same where label smoothing explains what the plain form does not.

    g = w (p - (1 - e) onehot(y) - e / vocabulary), e in (0.001, 0.5).

    The target is one of the two extremes, the one without which the others lie on a line.
    """
    core = mx()
    best = plain
    for extreme in (core.argmin, core.argmax):
        y = extreme(g, -1, keepdims=True)
        w, residual, fits = _line(p, g, y, mass, unit)
        better = alone(core.less, residual, alone(core.multiply, plain[2], 0.25))  # more than rounding does
        for each in (better, alone(core.less, residual, best[2])):
            fits = alone(core.logical_and, fits, each)
        best = tuple(alone(core.where, fits, *pair) for pair in zip((y, w, residual), best, strict=True))
    return best


def _line(p: Any, g: Any, y: Any, mass: Any, unit: float) -> tuple[Any, Any, Any]:
    """The line of w p - w e / vocabulary through all entries but y.

    Returns its slope, the share of the mass that is off it, and whether it is a line. It is none where the
    other p are so small that the slope drowns in the rounding of the constant.
    """
    core = mx()
    width = p.shape[-1]
    places = unfused(core.broadcast_to(core.arange(width, dtype=y.dtype), p.shape))
    own = alone(core.equal, places, unfused(core.broadcast_to(y, p.shape)))
    q, h = (alone(core.where, own, 0.0, each) for each in (p, g))
    mean_q, mean_h = (alone(core.divide, _sum(each), float(width - 1)) for each in (q, h))
    q, h = (alone(core.where, own, 0.0, alone(core.subtract, *pair)) for pair in ((q, mean_q), (h, mean_h)))
    spread = alone(core.maximum, _sum(alone(core.multiply, q, q)), 1e-30)
    w = alone(core.divide, _sum(alone(core.multiply, q, h)), spread)
    off = _sum(alone(core.abs, alone(core.subtract, h, alone(core.multiply, w, q))))
    floor = alone(core.subtract, alone(core.multiply, w, mean_q), mean_h)
    some = alone(core.where, alone(core.equal, w, 0.0), 1.0, w)
    part = alone(core.divide, alone(core.multiply, floor, float(width)), some)
    fits = alone(core.logical_and, alone(core.greater, part, 1e-3), alone(core.less, part, 0.5))
    slope = alone(core.multiply, alone(core.abs, w), alone(core.sqrt, spread))
    clear = alone(core.greater, slope, alone(core.multiply, alone(core.abs, mean_h), 64 * unit))
    return w, alone(core.divide, off, alone(core.maximum, mass, 1e-30)), alone(core.logical_and, fits, clear)


def _few(z: Any, g: Any) -> tuple[Any, Any, Any, Any]:
    """The same off two entries, y the target and o the largest other.

    w p_y = g_o exp(z_y - z_o) and w = w p_y - g_y.
    """
    core = mx()
    stride = max(1, z.shape[-1] // _ENTRIES)
    some, at = wide(g[:, ::stride]), wide(z[:, ::stride])
    side = _side(some)
    low, high = core.argmin(g, -1, keepdims=True), core.argmax(g, -1, keepdims=True)
    positive = alone(core.greater, side, 0.0)
    y, o = alone(core.where, positive, low, high), alone(core.where, positive, high, low)
    g_y, g_o = (wide(core.take_along_axis(g, each, -1)) for each in (y, o))
    z_y, z_o = (wide(core.take_along_axis(z, each, -1)) for each in (y, o))
    w = alone(core.subtract, alone(core.multiply, g_o, _times(z_y, z_o)), g_y)
    # what of the sampled entries does not follow one factor times exp(z); the target itself is left out
    places = core.array(list(range(0, z.shape[-1], stride)), dtype=y.dtype)
    own = alone(
        core.equal, unfused(core.broadcast_to(places, some.shape)), unfused(core.broadcast_to(y, some.shape))
    )
    some, shape = alone(core.where, own, 0.0, some), alone(core.where, own, 0.0, _times(at, z_o))
    factor = alone(core.divide, _sum(some), alone(core.maximum, _sum(shape), 1e-30))
    off = _sum(alone(core.abs, alone(core.subtract, some, alone(core.multiply, factor, shape))))
    residual = alone(core.divide, off, alone(core.maximum, _sum(alone(core.abs, some)), 1e-30))
    return (
        y[:, 0].astype(core.int32),
        w[:, 0],
        residual[:, 0],
        alone(core.multiply, alone(core.abs, g_y), 2.0)[:, 0],
    )


def _side(g: Any) -> Any:
    """The sign that most entries have: the weight's own."""
    core = mx()
    return alone(core.sign, alone(core.add, _sum(alone(core.sign, g)), 0.5))


def _times(a: Any, b: Any) -> Any:
    """exp(a - b), bounded."""
    core = mx()
    return alone(core.exp, alone(core.minimum, alone(core.subtract, a, b), 80.0))


def wide(x: Any) -> Any:
    """In float32."""
    core = mx()
    return x if x.dtype == core.float32 else alone(lambda each: each.astype(core.float32), x)


def _sum(x: Any) -> Any:
    return x.sum(-1, keepdims=True)


def alone(function: Callable[..., Any], *given: Any) -> Any:
    """One operation by itself.

    In a function that is compiled it stays out of the program's fused kernels, and makes none.

    What is given is no fresh result of an operation that mlx fuses: it went through here, or through `apart`.
    """
    if not steps.local.traces:
        return function(*given)
    core = mx()
    shape = max(
        (argument.shape for argument in given if not isinstance(argument, float)), key=lambda s: (len(s), s)
    )
    arrays = (
        _constant(argument, len(shape)) if isinstance(argument, float) else argument for argument in given
    )
    return unfused(
        function(
            *(array if array.shape == shape else unfused(core.broadcast_to(array, shape)) for array in arrays)
        )
    )


def _constant(value: float, dimensions: int) -> Any:
    """A constant, no scalar: mlx makes one of equal scalars of a compiled function.

    Before 0.32.4 it loses the program's own where that is an output, such as a learning rate.
    """
    core = mx()
    return core.array([value]) if dimensions else unfused(core.array([value]).reshape(()))


def unfused(array: Any) -> Any:
    """The same array; in a function that is compiled, behind a node that mlx neither fuses nor drops."""
    return after(array, [array]) if steps.local.traces else array
