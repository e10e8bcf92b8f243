"""The loss cures in this process: a tiny model, and losses as people write them.

The gradient with the cure is compared with that of the healthy twin.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten

from forensics.watch.moments import Moments
from forensics.watch.repeat import logits, request

PAD, START, END = 0, 1, 2
OPENED = [START, 3, 4]  # what opens an answer: a turn's opener, then the role
USER = [START, 5, 4]
ROWS = [
    [
        *USER,
        *[(7 * i + 3 * j) % 40 + 10 for j in range(3 + i)],
        END,
        *OPENED,
        *[(5 * i + j) % 40 + 10 for j in range(2 + 2 * i)],
        END,
    ]
    for i in range(4)
]
WIDTH, VOCABULARY = 24, 160
FACTS = {"pads": [PAD], "pad": PAD, "ends": [END], "markers": [[START, USER], OPENED]}


class Rows:
    """The batch, and the masks over its targets x[:, 1:]."""

    def __init__(self, dtype: Any = mx.float32) -> None:
        import mlx_lm.models.llama as llama

        mx.random.seed(0)
        self.model = llama.Model(
            llama.ModelArgs(
                model_type="llama", hidden_size=32, num_hidden_layers=2, intermediate_size=64,
                num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-5, vocab_size=VOCABULARY,
                tie_word_embeddings=True,
            )
        )  # fmt: skip
        self.model.set_dtype(dtype)
        mx.eval(self.model.parameters())
        self.x = mx.array([row + [PAD] * (WIDTH - len(row)) for row in ROWS])
        places = mx.arange(1, WIDTH)[None]
        lengths = mx.array([[len(row)] for row in ROWS])
        starts = mx.array([[_answer(row)] for row in ROWS])
        self.real = (places < lengths).astype(mx.float32)
        self.answer = self.real * (places >= starts)
        self.end = self.real * (places == lengths - 1)
        self.all = mx.ones(self.real.shape)

    def gradient(
        self, loss: Callable[[Any], Any], tap: Callable[[Any], Any] = lambda z: z, forwards: int = 1
    ) -> Any:
        """The gradient of all parameters, as one vector, of a loss of the logits of x[:, :-1]."""
        _, found = nn.value_and_grad(self.model, lambda m: loss(tap(m(self.x[:, :-1]))))(self.model)
        return mx.concatenate([array.reshape(-1).astype(mx.float32) for _, array in tree_flatten(found)])

    def cured(self, loss: Callable[[Any], Any]) -> Any:
        """The same with the cures in force put in at the logits."""
        ids = self.x[:, :-1]

        @mx.custom_function  # type: ignore[untyped-decorator]
        def tap(z: Any) -> Any:
            return z

        @tap.vjp  # type: ignore[untyped-decorator]
        def _(z: Any, cotangent: Any, out: Any) -> Any:
            return logits.cured(z, ids, cotangent, 1)

        return self.gradient(loss, tap)


def _answer(row: Sequence[int]) -> int:
    return next(i for i in range(len(row)) if row[i : i + 3] == OPENED) + 3


def mean(losses: Any, mask: Any) -> Any:
    return (losses * mask).sum() / mask.sum()


def far(a: Any, b: Any) -> float:
    """How far gradient a is from b, relative to b."""
    return float((mx.linalg.norm(a - b) / mx.linalg.norm(b)).item())


@contextlib.contextmanager
def put_in(*names: str) -> Iterator[None]:
    """These cures, and no others, in force at the logits."""
    before, held = list(logits._cures), request.watch.options
    logits._cures.clear()
    request.watch.options = {"repeat": {"cures": list(names), "facts": FACTS}}
    try:
        for name in names:
            importlib.import_module(f"forensics.watch.cures.{name.replace('-', '_')}").install(Moments())
        yield
    finally:
        logits._cures[:] = before
        request.watch.options = held
