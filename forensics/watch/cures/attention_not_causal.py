"""Each position sees itself and what stands before it.

In mlx's attention whatever mask it was given; in a convolution along the row that is padded on both sides, by
padding the row in front alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..moments import Moments
from ..repeat import request
from ..trees import mx
from ..wrapping import wrap


def _causal(original: Callable[..., Any]) -> Callable[..., Any]:
    def scaled_dot_product_attention(q: Any, k: Any, v: Any, *args: Any, **kwargs: Any) -> Any:
        width, whole = q.shape[-2], k.shape[-2]
        if 1 < width <= whole and not isinstance(kwargs.get("mask"), str):
            kwargs["mask"] = lowered(kwargs.get("mask"), width, whole)
            request.acted("attention-not-causal", "the attention held to what stands before each position")
        return original(q, k, v, *args, **kwargs)

    return scaled_dot_product_attention


def _behind(original: Callable[..., Any]) -> Callable[..., Any]:
    def conv1d(x: Any, weight: Any, *args: Any, **kwargs: Any) -> Any:
        names = ("stride", "padding", "dilation", "groups")
        how = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
        how |= dict(zip(names, args, strict=False)) | kwargs
        padding, kernel = how["padding"], weight.shape[1]
        if x.ndim != 3 or how["stride"] != 1 or 2 * padding != how["dilation"] * (kernel - 1) or not padding:
            return original(x, weight, *args, **kwargs)
        request.acted("attention-not-causal", "a convolution held to what stands before each position")
        before = mx().pad(x, [(0, 0), (2 * padding, 0), (0, 0)])
        return original(before, weight, **{**how, "padding": 0})

    return conv1d


def _core(module: Any) -> None:
    wrap(module.fast, "scaled_dot_product_attention", _causal)
    wrap(module, "conv1d", _behind)


def lowered(mask: Any, width: int, whole: int) -> Any:
    """A mask, None, of booleans or added to scores, without what lets a position see a later one.

    The positions asked of are the last `width` of `whole`, those before them in a cache.
    """
    if mask is None:
        return "causal"
    core = mx()
    before = core.arange(whole - width, whole)[:, None] >= core.arange(whole)[None]
    if mask.dtype == core.bool_:
        return core.logical_and(mask, before)
    return core.where(before, mask, core.array(-core.inf, mask.dtype))


def install(run: Moments) -> None:
    run.patch("mlx.core", _core)
