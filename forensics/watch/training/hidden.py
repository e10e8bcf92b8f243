"""What the cotangent c at hidden states h tells of a loss that never makes logits.

With the head's rows W, z = W h, p = softmax(z), a cross-entropy gives c = w u(y), u(v) = W' p - W[v]: the
target is the row y that leaves the least of c unexplained, for two more products with the head. Where one
token m has nearly all probability, u(m) would drown in rounding. So it is made of the others: u(m) = W' p~ -
(1 - p_m) W[m], p~ being p without m.
"""

from __future__ import annotations

from typing import Any

from ..trees import mx
from .event import other_reading
from .head import Head
from .logits import alone, unfused, wide

POSITIONS = 256  # that are read of a forward in brief
_BLOCK = 1 << 24  # elements of logits that are made at once: bounds the memory
_SURE = 1e-3  # probability of all tokens but one below which the program's own p - 1 may be rounding
_TWINS = (
    1e-4  # rows that explain c equally well but for this share: the one that the row has next is the target
)
NAMES = ("target", "weight", "residual", "mass")


def reduce(h: Any, c: Any, head: Head, following: Any = None) -> dict[str, Any]:
    """Target, weight, residual and mass of each position.

    Args:
        h, c: (..., width) hidden states and their cotangent.
        following: (...) token ids, each the one after the position in its row: chooses between rows that are
        alike.

    Returns: `target` int32, `weight`, `residual` (unexplained share of |c|), `mass` (what |dL/dlogits| sums
    to), float32, (...) each.
    """
    core = mx()
    shape, width = h.shape[:-1], h.shape[-1]
    h, c = (unfused(core.stop_gradient(array).reshape(-1, width)) for array in (h, c))
    following = (
        None if following is None else unfused(core.stop_gradient(following).reshape(-1).astype(core.int32))
    )
    squares = head.squares()
    rows = max(1, _BLOCK // squares.size)
    parts = [
        _some(
            h[i : i + rows],
            c[i : i + rows],
            head,
            squares,
            None if following is None else following[i : i + rows],
        )
        for i in range(0, h.shape[0], rows)
    ]
    joined = [
        parts[0][k] if len(parts) == 1 else core.concatenate([part[k] for part in parts]) for k in range(5)
    ]
    target, weight, residual, mass, length = joined
    # a loss that is no cross-entropy has no mass at the logits that could be told
    spared = alone(core.multiply, residual, length).sum(keepdims=True)
    other = alone(core.greater, spared, alone(core.multiply, length.sum(keepdims=True), 0.5))
    mass = alone(core.where, other, length, mass)
    return {
        name: each.reshape(shape) for name, each in zip(NAMES, (target, weight, residual, mass), strict=True)
    }


def brief(h: Any, c: Any, head: Head, following: Any = None) -> dict[str, Any]:
    """The same of `POSITIONS` positions, drawn evenly from those with a gradient.

    All where there are no more.

    Returns: as `reduce`, with `places` int32 (n,), where they lie among all positions, and `live` bool (...),
    all with a gradient.
    """
    core = mx()
    width, size = h.shape[-1], h.size // h.shape[-1]
    if size <= POSITIONS:
        return reduce(h, c, head, following)
    flat = unfused(core.stop_gradient(c).reshape(-1, width))
    live = alone(core.greater, wide(alone(core.abs, flat)).max(-1), 0.0)
    turns = core.array([(i * 2654435761) % (1 << 24) + 1 for i in range(size)], core.float32)
    places = core.argsort(alone(lambda a, b: core.where(a, -b, 0.0), live, turns))[:POSITIONS].astype(
        core.int32
    )
    if following is not None:
        following = core.stop_gradient(following).reshape(-1)[places]
    reduced = reduce(core.stop_gradient(h).reshape(-1, width)[places], flat[places], head, following)
    return {**reduced, "places": places, "live": live.reshape(h.shape[:-1])}


def losses(h: Any, read: dict[str, Any], head: Head) -> Any:
    """(2,) float32: the cross-entropy of the targets and weights of `read`, summed over all positions.

    First of the model's own logits, then of those of the head that may have been taken for its own.
    """
    core, width = mx(), h.shape[-1]
    h = unfused(core.stop_gradient(h).reshape(-1, width))
    target, weight = read["target"].reshape(-1, 1), read["weight"].reshape(-1)
    rows = max(1, _BLOCK // head.arrays["weight"].shape[0])
    sums = []
    for each in (head, *([head.other[1]] if head.other else [])):
        parts = []
        for i in range(0, h.shape[0], rows):
            z, _ = each.logits(h[i : i + rows])
            taken = core.take_along_axis(z, target[i : i + rows], -1)[:, 0]
            cost = alone(core.subtract, core.logsumexp(z, -1), taken)
            live = alone(core.equal, weight[i : i + rows], 0.0)
            cost = alone(core.where, live, 0.0, alone(core.multiply, cost, weight[i : i + rows]))
            parts.append(cost.sum(keepdims=True))
        sums.append(core.concatenate(parts).sum())
    return core.stack(sums)


def chosen(tap: dict[str, Any], form: str) -> dict[str, Any]:
    """The reading of a tap, in `form` full or brief, that explains more of the gradient.

    There may be two: by the model's head, and by what a loss may take for it.
    """
    own: dict[str, Any] = tap[form]
    other: dict[str, Any] | None = other_reading(tap)[1].get(form)
    return own if other is None or unexplained(own) <= unexplained(other) else other


def unexplained(read: dict[str, Any]) -> float:
    """The share of the mass that the reading leaves unexplained, computed."""
    core, mass = mx(), read["mass"]
    both = core.stack([(read["residual"] * mass).sum(), mass.sum()]).tolist()
    return both[0] / both[1] if both[1] > 0 else 0.0


def cotangent(h: Any, target: Any, weight: Any, head: Head) -> Any:
    """c of a cross-entropy with these targets and weights, both (...), at hidden states (..., width)."""
    core, flat = mx(), h.reshape(-1, h.shape[-1])
    z, slope = head.logits(flat)
    pulled = wide(head.back(_times(core.softmax(z, -1), slope).astype(h.dtype)))
    ids = target.reshape(-1)
    row = _times(head.some(ids), _at(slope, ids[:, None]))
    return ((pulled - row) * weight.reshape(-1)[:, None]).reshape(h.shape)


def _some(h: Any, c: Any, head: Head, squares: Any, following: Any) -> tuple[Any, ...]:
    """For (n, width): target, weight, residual, mass of a cross-entropy, and |c|."""
    core = mx()
    z, slope = head.logits(h)
    m = core.argmax(z, -1, keepdims=True)
    p, rest = _without(z, m)
    size = alone(core.maximum, wide(alone(core.abs, c)).max(-1, keepdims=True), 1e-38)
    c = alone(core.divide, wide(c), size)
    pulled = _times(alone(core.divide, p, rest), slope)
    q = alone(core.multiply, wide(head.back(pulled.astype(h.dtype))), rest)
    top = _times(head.some(m[:, 0]), _at(slope, m))
    whole = alone(core.add, q, alone(core.multiply, top, alone(core.subtract, 1.0, rest)))  # W' p
    along = alone(core.subtract, _dot(c, whole), _times(wide(head.rows(c.astype(h.dtype))), slope))
    crossed = _times(wide(head.rows(whole.astype(h.dtype))), slope)
    norms = _times(_times(alone(lambda n, like: core.broadcast_to(n, like.shape), squares, z), slope), slope)
    length = alone(
        core.subtract, alone(core.add, _dot(whole, whole), norms), alone(core.multiply, crossed, 2.0)
    )
    fit = alone(core.divide, alone(core.square, along), alone(core.maximum, length, 1e-12))
    look = _Look(head, slope, m, rest, c, q, top, whole)
    y = core.argmax(core.put_along_axis(fit, m, look.fit(m), -1), -1, keepdims=True).astype(core.int32)
    if following is not None:
        last = core.array(z.shape[-1] - 1, core.int32)
        other = alone(core.minimum, alone(core.abs, following[:, None]), last)
        alike = alone(core.greater_equal, look.fit(other), alone(core.multiply, look.fit(y), 1 - _TWINS))
        y = alone(core.where, alike, other, y)
    weight, left = look.read(y)
    dead = alone(core.equal, alone(core.abs, c).max(-1, keepdims=True), 0.0)
    weight = alone(core.where, dead, 0.0, alone(core.multiply, weight, size))
    missing = alone(
        core.where, alone(core.equal, y, m), rest, alone(core.subtract, 1.0, core.take_along_axis(p, y, -1))
    )
    mass = alone(core.multiply, alone(core.multiply, alone(core.abs, weight), missing), 2.0)
    length = alone(core.multiply, alone(core.sqrt, _dot(c, c)), size)
    return y[:, 0], weight[:, 0], alone(core.where, dead, 0.0, left)[:, 0], mass[:, 0], length[:, 0]


class _Look:
    """Single tokens, compared with c.

    u(v) is made of the row itself, so that no rounding of long sums is in it.
    """

    def __init__(
        self, head: Head, slope: Any, m: Any, rest: Any, c: Any, q: Any, top: Any, whole: Any
    ) -> None:
        self._head, self._slope, self._m, self._rest = head, slope, m, rest
        self._c, self._q, self._top, self._whole = c, q, top, whole

    def fit(self, v: Any) -> Any:
        """(n, 1): <c, u(v)>^2 / |u(v)|^2."""
        core, u = mx(), self._u(v)
        return alone(
            core.divide, alone(core.square, _dot(self._c, u)), alone(core.maximum, _dot(u, u), 1e-30)
        )

    def read(self, v: Any) -> tuple[Any, Any]:
        """(weight, residual), each (n, 1).

        Where v has nearly all probability, the weight is read off the other tokens' part alone.
        """
        core, u, c = mx(), self._u(v), self._c
        apart_c, apart_q = (_beside(array, self._top) for array in (c, self._q))
        sure = alone(core.logical_and, alone(core.equal, v, self._m), alone(core.less, self._rest, _SURE))
        c_used, u_used = alone(core.where, sure, apart_c, c), alone(core.where, sure, apart_q, u)
        weight = alone(core.divide, _dot(c_used, u_used), alone(core.maximum, _dot(u_used, u_used), 1e-30))
        off = alone(core.subtract, c_used, alone(core.multiply, u_used, weight))
        share = alone(core.divide, _dot(off, off), alone(core.maximum, _dot(c, c), 1e-30))
        return weight, alone(core.sqrt, share)

    def _u(self, v: Any) -> Any:
        core = mx()
        row = _times(self._head.some(v[:, 0]), _at(self._slope, v))
        itself = alone(core.subtract, self._q, alone(core.multiply, row, self._rest))
        return alone(
            core.where, alone(core.equal, v, self._m), itself, alone(core.subtract, self._whole, row)
        )


def _without(z: Any, m: Any) -> tuple[Any, Any]:
    """(p, rest): the softmax with 0 at m, and what it sums to, exact however small."""
    core = mx()
    peak = core.take_along_axis(z, m, -1)
    lower = core.put_along_axis(z, m, core.full(m.shape, -float("inf")), -1)
    each = alone(core.exp, alone(core.subtract, lower, peak))
    total = each.sum(-1, keepdims=True)
    every = alone(core.add, total, 1.0)
    return alone(core.divide, each, every), alone(core.maximum, alone(core.divide, total, every), 1e-30)


def _beside(x: Any, direction: Any) -> Any:
    """x without its part along a direction."""
    core = mx()
    share = alone(core.divide, _dot(x, direction), alone(core.maximum, _dot(direction, direction), 1e-30))
    return alone(core.subtract, x, alone(core.multiply, direction, share))


def _at(slope: Any, v: Any) -> Any:
    return slope if isinstance(slope, float) else mx().take_along_axis(slope, v, -1)


def _times(x: Any, slope: Any) -> Any:
    return x if isinstance(slope, float) and slope == 1.0 else alone(mx().multiply, x, slope)


def _dot(a: Any, b: Any) -> Any:
    return alone(mx().multiply, a, b).sum(-1, keepdims=True)
