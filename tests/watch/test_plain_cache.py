"""A cache of a program's own lists and dicts: with it a model says what it says without, or it is named."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import mlx.nn as nn
import pytest

from forensics.watch.generation import plaincache


class Cached(nn.Module):
    """One block of attention; `turned`: its queries are rotated by the place that they have in the text."""

    def __init__(self, turned: bool) -> None:
        super().__init__()
        self.embed, self.qkv, self.out = nn.Embedding(32, 32), nn.Linear(32, 96), nn.Linear(32, 32)
        self.rope, self._turned = nn.RoPE(8), turned

    def __call__(self, ids: Any, store: Any = None) -> Any:
        q, k, v = (
            part.reshape(*ids.shape, 4, 8).transpose(0, 2, 1, 3)
            for part in mx.split(self.qkv(self.embed(ids)), 3, axis=-1)
        )
        past = store[0]["k"].shape[2] if store and store[0] else 0
        q, k = self.rope(q, offset=past if self._turned else 0), self.rope(k, offset=past)
        if store is not None:
            if past:
                k, v = (mx.concatenate(pair, axis=2) for pair in ((store[0]["k"], k), (store[0]["v"], v)))
            store[0] |= {"k": k, "v": v}
        mask = "causal" if ids.shape[1] > 1 else None
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=1.0, mask=mask)
        return self.out(y.transpose(0, 2, 1, 3).reshape(*ids.shape, 32))


@pytest.mark.parametrize("turned", [True, False])
def test_tokens_read_one_by_one_with_a_cache_against_the_text_read_whole(turned: bool) -> None:
    mx.random.seed(3)
    ids, cache = mx.array([[5, 9, 20, 31, 4, 7, 18]]), [{}]
    found = plaincache._compare(Cached(turned), ids, cache)
    assert found is not None and cache == [{}]
    assert found["rounding"] < 1e-5 * found["scale"]
    assert (found["most"] < 1e-5 * found["scale"]) == turned
    assert (found["least"] > 1e-3 * found["scale"]) != turned


def test_what_keeps_nothing_is_no_cache() -> None:
    assert plaincache._compare(Cached(True), mx.array([[5, 9, 20, 31]]), None) is None
    assert not plaincache._is_empty([{"k": mx.zeros(3)}])
    assert not plaincache._is_empty([object()])
