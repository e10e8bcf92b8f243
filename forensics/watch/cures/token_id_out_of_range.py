"""An id that the embedding has no row for reads row 0, and nothing is taught by it or at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..moments import Moments
from ..repeat import logits, request
from ..run import watch
from ..trees import is_array, mx
from ..wrapping import wrap

_NAME = "token-id-out-of-range"


def within(ids: Any, rows: int) -> Any:
    """The ids, with 0 for those that a table of so many rows does not have."""
    core = mx()
    return core.where(core.logical_or(ids < 0, ids >= rows), core.zeros_like(ids), ids)


def _call(original: Callable[..., Any]) -> Callable[..., Any]:
    def __call__(self: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        if is_array(x) and mx().issubdtype(x.dtype, mx().integer):
            if not watch.local.quiet:
                request.acted(_NAME, "ids beyond the embedding read its first row")
            x = within(x, self["weight"].shape[0])
        return original(self, x, *args, **kwargs)

    return __call__


def known(lesson: logits.Lesson) -> Any:
    """No gradient where the token or the one that it is to say has no row."""
    core = mx()
    real = core.logical_and(_in(lesson.ids, lesson.vocabulary), _in(lesson.following, lesson.vocabulary))
    return core.where(real[..., None], lesson.g, core.zeros_like(lesson.g))


def _in(ids: Any, rows: int) -> Any:
    return mx().logical_and(ids >= 0, ids < rows)


def _nn(module: Any) -> None:
    for name in ("Embedding", "QuantizedEmbedding"):
        wrap(getattr(module, name), "__call__", _call)


def install(run: Moments) -> None:
    run.patch("mlx.nn", _nn)
    logits.cure(_NAME, known, logits.TARGETS)
