"""What the cotangent c at hidden states h tells of a loss that never makes logits.

With the head's rows W, z = W h, p = softmax(z), a cross-entropy gives c = w (q - W[y]) with q = W' p. The target is the row y
that leaves the least of c unexplained; both products are the head's own call and its vjp, so a quantized head stays packed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..trees import mx

_BLOCK = 1 << 21  # elements of logits that are made at once: bounds the memory


def reduce(h: Any, c: Any, head: Callable[[Any], Any], squares: Any) -> dict[str, Any]:
    """Target, weight, residual and size of each position.

    Args:
        h, c: (..., width) hidden states and their cotangent.
        head: (n, width) to (n, vocabulary), linear and without bias; any scale of the logits is within it.
        squares: (vocabulary,) squared norms of the head's rows.

    Returns: `target` int32, `weight`, `residual` (unexplained share of |c|), `size` (|c|) float32, each of shape (...).
    """
    core = mx()
    shape, width = h.shape[:-1], h.shape[-1]
    h, c = (core.stop_gradient(each).reshape(-1, width).astype(core.float32) for each in (h, c))
    rows = max(1, _BLOCK // squares.size)
    parts = [_some(h[i : i + rows], c[i : i + rows], head, squares) for i in range(0, h.shape[0], rows)]
    names = ("target", "weight", "residual", "size")
    return {name: core.concatenate([part[k] for part in parts]).reshape(shape) for k, name in enumerate(names)}


def _some(h: Any, c: Any, head: Callable[[Any], Any], squares: Any) -> tuple[Any, Any, Any, Any]:
    core = mx()
    p = core.softmax(head(h), -1)
    q = core.vjp(head, [h], [p])[1][0]
    along = (c * q).sum(-1, keepdims=True) - head(c)
    length = core.maximum((q * q).sum(-1, keepdims=True) - 2 * head(q) + squares, 1e-12)
    whole = (c * c).sum(-1)
    fit = along * along / length
    y = fit.argmax(-1)
    at, by, best = (core.take_along_axis(each, y[:, None], -1)[:, 0] for each in (along, length, fit))
    dead = whole < 1e-20  # below this float32 holds no direction any more
    left = core.sqrt(core.maximum(1 - best / core.maximum(whole, 1e-30), 0))
    return y.astype(core.int32), core.where(dead, 0, at / by), core.where(dead, 0, left), core.sqrt(whole)
