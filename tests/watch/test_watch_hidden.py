"""A loss that makes no logits teaches what the same loss on logits teaches.

The program that is watched stays the program.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import pytest

from tests.support import training

pytestmark = pytest.mark.long

BOTH = """
@mx.custom_function
def fused(h, w, y):
    chunk = lambda i: nn.losses.cross_entropy((h[i : i + 16] @ w.T).astype(mx.float32), y[i : i + 16])
    parts = [chunk(i) for i in range(0, h.shape[0], 16)]
    return mx.concatenate(parts)

@fused.vjp
def _(primals, cotangent, output):
    h, w, y = primals
    p = mx.softmax((h @ w.T).astype(mx.float32), axis=-1)
    g = (p - (mx.arange(w.shape[0]) == y[:, None])) * cotangent[:, None]
    of_h, of_w = g @ w.astype(mx.float32), g.T @ h.astype(mx.float32)
    return of_h.astype(h.dtype), of_w.astype(w.dtype), mx.zeros_like(y)

def rows_of(m):
    layer = m.model.embed_tokens if m.args.tie_word_embeddings else m.lm_head
    if "scales" not in layer:
        return layer.weight
    return mx.dequantize(layer.weight, layer.scales, layer.biases, layer.group_size, layer.bits)

def losses(m, x, y):
    if not FUSED:
        return nn.losses.cross_entropy(m(x).astype(mx.float32), y)
    h = m.model(x)
    return fused(h.reshape(-1, h.shape[-1]), rows_of(m), y.reshape(-1)).reshape(y.shape)

def naive(m, batch):
    return losses(m, batch[:, :-1], batch[:, 1:]).mean()

def masked(m, batch):
    real = (batch[:, 1:] != 0).astype(mx.float32)
    return (losses(m, batch[:, :-1], batch[:, 1:]) * real).sum() / real.sum()

def unshifted(m, batch):
    return losses(m, batch, batch).mean()

def pair(m, batch):
    real = (batch[:, 1:] != 0).astype(mx.float32)
    each = (losses(m, batch[:, :-1], batch[:, 1:]) * real).sum(-1)
    return mx.logaddexp(each[0] - each[1], mx.array(0.0))

def fresh(tied=False, bits=None, dtype=mx.float32):
    args = copy.copy(model.args)
    args.tie_word_embeddings = tied
    mx.random.seed(1)
    made = type(model)(args)
    made.set_dtype(dtype)
    if bits:
        nn.quantize(made, 32, bits)
        made.freeze()
        linear_to_lora_layers(made, 2, {"rank": 4, "scale": 10.0, "dropout": 0.0})
    mx.eval(made.parameters())
    return made

def train(m, loss, compiled, batch):
    optimizer, value_and_grad = optim.AdamW(1e-3), nn.value_and_grad(m, loss)
    state = [m.state, optimizer.state]

    def step(batch):
        value, gradients = value_and_grad(m, batch)
        optimizer.update(m, gradients)
        return value

    if compiled:
        step = mx.compile(step, inputs=state, outputs=state)
    for i in range(9):
        value = step(batch)
        mx.eval(state, value)
    tell(m.parameters())

CASES = {
    "naive": ({}, naive, False, batch),
    "masked": ({}, masked, False, batch),
    "unshifted": ({}, unshifted, False, batch),
    "tied": ({"tied": True}, masked, False, batch),
    "half": ({"dtype": mx.bfloat16}, masked, False, batch),
    "packed": ({"bits": 4}, naive, False, batch),
    "compiled": ({}, naive, True, batch),
    "packed-compiled": ({"bits": 8, "tied": True}, masked, True, batch),
    "many": ({}, masked, True, mx.concatenate([batch] * 4)),
    "pair": ({}, pair, False, batch[:2]),
}
for name, (settings, loss, compiled, rows) in CASES.items():
    train(fresh(**settings), loss, compiled, rows)
    print("CASE", name)
"""
NAMES = (
    "naive",
    "masked",
    "unshifted",
    "tied",
    "half",
    "packed",
    "compiled",
    "packed-compiled",
    "many",
    "pair",
)
ERROR = {"half": 0.05}  # of a position's weight in 16 bits; else 0.1 %


@functools.cache
def ran(how: str, watch: bool = True) -> Any:
    text = f"FUSED = {how == 'fused'}" + training.HEAD + BOTH
    run = training.run_text(f"hidden-{how}", text, watch=watch)
    assert run.status == 0, run.stderr
    return run


def of(how: str, name: str, table: str, **columns: Any) -> list[dict[str, Any]]:
    run = ran(how)
    models = [row["model"] for row in run.events("grad")]
    columns["model"] = models[NAMES.index(name)]
    return [row for row in run.rows(table) if all(row[key] == value for key, value in columns.items())]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_taught_is_the_same_without_logits(name: str) -> None:
    error = ERROR.get(name, 1e-3)
    for step in (1, 8):
        (fused,), (plain,) = (of(how, name, "forwards", step=step) for how in ("fused", "logits"))
        assert fused["inputs"] == plain["inputs"]
        assert fused["targets"] == plain["targets"]
        for a, b in zip(flat(fused["weights"]), flat(plain["weights"]), strict=True):
            assert math.isclose(a, b, rel_tol=error, abs_tol=1e-9)
        mass = sum(flat(fused["mass"]))
        unexplained = sum(r * m for r, m in zip(flat(fused["residual"]), flat(fused["mass"]), strict=True))
        assert unexplained < 0.03 * mass


@pytest.mark.parametrize("name", NAMES)
def test_steps_add_up_to_the_same(name: str) -> None:
    fused, plain = (of(how, name, "steps") for how in ("fused", "logits"))
    assert len(fused) == len(plain) == 9
    for a, b in zip(fused, plain, strict=True):
        assert (a["tokens"], a["forwards"]) == (b["tokens"], b["forwards"])
        assert math.isclose(a["weight_sum"], b["weight_sum"], rel_tol=0.05 if name == "half" else 0.02)
        assert a["residual"] < 0.05


def test_of_many_positions_a_step_that_is_not_kept_reads_some() -> None:
    (last,) = of("fused", "many", "weights", step=9)
    assert 0 < last["read"] < 1
    (before,) = of("fused", "many", "weights", step=8)
    assert "read" not in before
    assert [row["read"] for row in of("fused", "many", "steps")] == [1.0] * 8 + [last["read"]]


def test_it_is_the_same_program() -> None:
    plain = ran("fused", watch=False)
    assert ran("fused").stdout == plain.stdout
    assert "weights" in plain.stdout
    assert ran("fused").rows("missing") == []


def flat(rows: list[list[Any]]) -> list[Any]:
    return [value for row in rows for value in row]
