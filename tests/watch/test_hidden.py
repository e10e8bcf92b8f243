"""Targets and weights off the cotangent at hidden states, against the loss that made it."""

from __future__ import annotations

from typing import Any

import pytest

mx = pytest.importorskip("mlx.core")
nn = pytest.importorskip("mlx.nn")

from forensics.watch.training import head, hidden  # noqa: E402

WIDTH, VOCABULARY = 64, 997


class Model(nn.Module):  # type: ignore[misc, name-defined]
    """An embedding and a head, as much as is looked for."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        if not settings.pop("tied", False):
            self.lm_head = nn.Linear(WIDTH, VOCABULARY, bias=settings.pop("bias", False))
        self.args = dict(settings)

    def logits(self, h: Any) -> Any:
        z = self.lm_head(h) if "lm_head" in self else self.embed.as_linear(h)
        z = z * self.args.get("logit_scale", 1.0)
        cap = self.args.get("final_logit_softcapping")
        return mx.tanh(z / cap) * cap if cap else z


CASES = {
    "plain": {},
    "tied": {"tied": True},
    "bias": {"bias": True},
    "scale": {"logit_scale": 0.25},
    "cap": {"final_logit_softcapping": 5.0},
}


def _taught(model: Any, sharp: float = 1.0, dtype: Any = None) -> tuple[Any, Any, Any, Any]:
    """(h, cotangent, targets, weights): 15 positions of 23 of each of four rows are taught."""
    h, y = mx.random.normal((4, 23, WIDTH)) * sharp, mx.random.randint(0, VOCABULARY, (4, 23))
    h = h.astype(dtype or mx.float32)
    weight = mx.where(mx.arange(23) < 15, 1.0 / 60, 0.0) * mx.ones((4, 1))
    c = mx.grad(lambda h: (nn.losses.cross_entropy(model.logits(h).astype(mx.float32), y) * weight).sum())(h)
    return h, c, y, weight


@pytest.mark.parametrize("bits", [None, 8, 4])
@pytest.mark.parametrize("case", CASES)
def test_target_and_weight_of_each_position(case: str, bits: int | None) -> None:
    mx.random.seed(0)
    model = Model(**CASES[case])
    if bits:
        nn.quantize(model, 64, bits)
    found = head.find(model, model, WIDTH)
    assert found is not None
    h, c, y, weight = _taught(model)
    seen = hidden.reduce(h, c, found)
    assert mx.where(weight > 0, seen["target"] == y, True).all().item()
    assert mx.abs(seen["weight"] - weight).max().item() < 1e-3 / 60
    assert (seen["residual"] * seen["mass"]).sum().item() < 0.01 * seen["mass"].sum().item()


def test_an_adapter_on_the_head() -> None:
    tuner = pytest.importorskip("mlx_lm.tuner.lora")
    mx.random.seed(0)
    model = Model()
    model.lm_head = tuner.LoRALinear.from_base(model.lm_head, r=4, scale=3.0)
    model.lm_head.lora_b = mx.random.normal(model.lm_head.lora_b.shape)
    found = head.find(model, model, WIDTH)
    assert found is not None
    h, c, y, weight = _taught(model)
    seen = hidden.reduce(h, c, found)
    assert mx.where(weight > 0, seen["target"] == y, True).all().item()
    assert mx.abs(seen["weight"] - weight).max().item() < 1e-3 / 60


def test_a_head_is_looked_for_again_where_another_stands_in_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where it stood it is taken without a walk of the model; its arrays are always the newest."""
    model, other = Model(), Model()
    walks: list[Any] = []
    original = head.trees.modules

    def walked(module: Any) -> Any:
        walks.append(module)
        return original(module)

    monkeypatch.setattr(head.trees, "modules", walked)
    first = head.find(model, model, WIDTH, again=False)
    assert first is not None and walks
    walks.clear()
    model.lm_head.weight = model.lm_head.weight + 1
    now = head.find(model, model, WIDTH, again=False)
    assert now is not None and now.arrays["weight"] is model.lm_head.weight and not walks
    model.lm_head = nn.Linear(WIDTH, VOCABULARY, bias=False)
    now = head.find(model, model, WIDTH, again=False)
    assert now is not None and now.arrays["weight"] is model.lm_head.weight and walks
    beside = head.find(other, other, WIDTH, again=False)
    assert beside is not None and beside.arrays["weight"] is other.lm_head.weight


def test_positions_that_are_learned_to_the_last_bit_keep_their_weight() -> None:
    """Probability 1 to the last bit at the target: c is far below the rounding of W' p - W[y]."""
    mx.random.seed(0)
    model = Model()
    found = head.find(model, model, WIDTH)
    assert found is not None
    y = mx.random.randint(0, VOCABULARY, (1, 12))
    h = model.lm_head.weight[y] * 90
    rest = 1 - mx.softmax(model.logits(h), -1).max(-1)
    assert rest.max().item() < 1e-3
    p = mx.softmax(model.logits(h), -1)
    p = mx.where(mx.arange(VOCABULARY) == y[..., None], 0, p)
    c = (p @ model.lm_head.weight - p.sum(-1, keepdims=True) * model.lm_head.weight[y]) / 12
    seen = hidden.reduce(h, c, found)
    assert (seen["target"] == y).all().item()
    assert mx.abs(seen["weight"] * 12 - 1).max().item() < 0.01


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bits(dtype: str) -> None:
    mx.random.seed(0)
    model = Model()
    model.set_dtype(getattr(mx, dtype))
    found = head.find(model, model, WIDTH)
    assert found is not None
    h, c, y, weight = _taught(model, dtype=getattr(mx, dtype))
    seen = hidden.reduce(h, c, found)
    assert mx.where(weight > 0, seen["target"] == y, True).all().item()
    assert mx.abs(seen["weight"] - weight).max().item() < 0.05 / 60
    assert (seen["residual"] * seen["mass"]).sum().item() < 0.05 * seen["mass"].sum().item()


def test_of_many_positions_some_are_read_in_brief() -> None:
    mx.random.seed(0)
    model = Model()
    found = head.find(model, model, WIDTH)
    assert found is not None
    h, y = mx.random.normal((8, 100, WIDTH)), mx.random.randint(0, VOCABULARY, (8, 100))
    weight = mx.where(mx.arange(100) < 70, 1.0, 0.0) * mx.ones((8, 1))
    c = mx.grad(lambda h: (nn.losses.cross_entropy(model.logits(h), y) * weight).sum())(h)
    seen = hidden.brief(h, c, found)
    places = seen["places"]
    assert places.size == hidden.POSITIONS == len(set(places.tolist()))
    assert (seen["live"] == (weight > 0)).all().item()
    assert (weight.reshape(-1)[places] == 1).all().item()
    assert (seen["target"] == y.reshape(-1)[places]).all().item()
    assert mx.abs(seen["weight"] - 1).max().item() < 1e-3


def test_rows_that_are_alike_are_told_apart_by_what_follows() -> None:
    mx.random.seed(0)
    model = Model()
    model.lm_head.weight[500] = model.lm_head.weight[3]
    found = head.find(model, model, WIDTH)
    assert found is not None
    h, y = mx.random.normal((1, 4, WIDTH)), mx.full((1, 4), 500)
    c = mx.grad(lambda h: nn.losses.cross_entropy(model.logits(h), y).mean())(h)
    assert hidden.reduce(h, c, found, y)["target"].tolist() == [[500] * 4]
    assert hidden.reduce(h, c, found, y + 1)["target"].tolist() == [[3] * 4]


def test_a_loss_that_is_no_cross_entropy_leaves_a_residual() -> None:
    mx.random.seed(0)
    model = Model()
    found = head.find(model, model, WIDTH)
    assert found is not None
    h = mx.random.normal((2, 5, WIDTH))
    seen = hidden.reduce(h, mx.random.normal(h.shape), found)
    assert seen["residual"].min().item() > 0.05


def test_two_heads_are_none() -> None:
    model = Model()
    model.other = nn.Linear(WIDTH, VOCABULARY)
    assert head.find(model, model, WIDTH) is None


@pytest.mark.parametrize("case", CASES)
def test_the_cotangent_that_a_loss_would_have_given(case: str) -> None:
    mx.random.seed(0)
    model = Model(**CASES[case])
    found = head.find(model, model, WIDTH)
    assert found is not None
    h, c, y, weight = _taught(model)
    assert mx.allclose(hidden.cotangent(h, y, weight, found), c, atol=1e-6).item()


def test_a_loss_by_the_embedding_of_an_untied_model_is_told_from_one_by_its_head() -> None:
    mx.random.seed(0)
    model = Model()
    found = head.find(model, model, WIDTH)
    assert found is not None and found.other is not None
    name, table = found.other
    assert name == "table" and found.holding(found.held).table is not None
    h, y = mx.random.normal((2, 9, WIDTH)), mx.random.randint(0, VOCABULARY, (2, 9))
    c = mx.grad(lambda h: nn.losses.cross_entropy(model.embed.as_linear(h), y).mean())(h)
    own, other = (hidden.unexplained(hidden.reduce(h, c, each)) for each in (found, table))
    assert other < 0.01 and own > 0.5
    told = hidden.losses(h, hidden.reduce(h, c, table), found).tolist()
    assert told[1] == pytest.approx(
        nn.losses.cross_entropy(model.embed.as_linear(h), y).mean().item(), rel=1e-3
    )


def test_a_tied_model_has_no_other_head() -> None:
    model = Model(tied=True)
    found = head.find(model, model, WIDTH)
    assert found is not None and found.other is None
