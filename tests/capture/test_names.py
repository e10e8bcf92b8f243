"""Names, roles and adapters, read off names and shapes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.model import names

Tensor = tuple[str, str, tuple[int, ...]]
Factor = tuple[str, tuple[int, int]]
LAYER = ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")


def model(layers: int = 2, *, tied: bool = False, bits: int | None = None) -> list[Tensor]:
    """The parameters of a small llama: width 32, 64 in the middle, vocabulary 384."""
    found: list[Tensor] = [
        ("model.embed_tokens.weight", "F32", (384, 32)),
        ("model.norm.weight", "F32", (32,)),
    ]
    for i in range(layers):
        found += [(f"model.layers.{i}.input_layernorm.weight", "F32", (32,))]
        for path in LAYER:
            width = 64 if "down" in path else 32
            found += linear(f"model.layers.{i}.{path}", width, 32, bits)
    return found if tied else [*found, ("lm_head.weight", "F32", (384, 32))]


def linear(path: str, width: int, out: int, bits: int | None = None) -> list[Tensor]:
    if bits is None:
        return [(f"{path}.weight", "F32", (out, width))]
    return [
        (f"{path}.weight", "U32", (out, width * bits // 32)),
        (f"{path}.scales", "F32", (out, width // 32)),
        (f"{path}.biases", "F32", (out, width // 32)),
    ]


def adapt(tensors: list[Tensor], paths: set[str], rank: int = 4, dora: bool = False) -> list[Tensor]:
    """Wrap layers as mlx-lm does.

    The weight moves below `.linear` or `.embedding`, the factors come beside it.
    """
    found: list[Tensor] = []
    for name, dtype, shape in tensors:
        path, _, leaf = name.rpartition(".")
        if path not in paths:
            found.append((name, dtype, shape))
            continue
        embedding = path.endswith("embed_tokens")
        found.append((f"{path}.{'embedding' if embedding else 'linear'}.{leaf}", dtype, shape))
        if leaf == "weight":
            out, width = shape[0], 64 if "down" in path else 32
            found += [(f"{path}.lora_a", "F32", (out if embedding else width, rank))]
            found += [(f"{path}.lora_b", "F32", (rank, width if embedding else out))]
            found += [(f"{path}.m", "F32", (out,))] if dora else []
    return found


def roles(tensors: list[Tensor]) -> dict[str, str]:
    return {name: p.role for name, p in names.place(tensors).items()}


paths = st.sets(
    st.sampled_from([f"model.layers.{i}.{p}" for i in range(2) for p in LAYER] + ["model.embed_tokens"])
)


@given(paths, st.integers(1, 16), st.booleans(), st.sampled_from([None, 4, 8]))
def test_an_adapter_leaves_every_layer_its_name(
    adapted: set[str], rank: int, dora: bool, bits: int | None
) -> None:
    plain = model(bits=bits)
    placed = names.place(adapt(plain, adapted, rank, dora))
    base = {p.canonical for p in placed.values() if p.role not in ("lora_a", "lora_b", "dora_m")}
    assert base == {name for name, _, _ in plain}
    assert {p.module for p in placed.values() if p.role == "lora_a"} == adapted
    assert len({p.canonical for p in placed.values()}) == len(placed)
    assert {
        a.rank for a in names.adapters({n: s for n, _, s in adapt(plain, adapted, rank, dora)}).values()
    } <= {rank}


@given(paths)
def test_canonical_names_are_fixed_points(adapted: set[str]) -> None:
    for p in names.place(adapt(model(), adapted)).values():
        assert names.canonical(p.canonical, ()) == p.canonical
        assert names.canonical(p.name, adapted) == p.canonical


@given(st.sets(st.sampled_from(["lm_head.linear", "a.embedding", "linear", "embedding.linear"]), min_size=1))
def test_a_layer_that_is_called_linear_keeps_its_name(modules: set[str]) -> None:
    placed = names.place([(f"{module}.weight", "F32", (8, 8)) for module in modules])
    assert {p.canonical for p in placed.values()} == {f"{module}.weight" for module in modules}


def test_nested_adapters_keep_their_depth() -> None:
    path = "model.layers.0.self_attn.q_proj"
    twice = adapt(adapt(model(), {path}), {f"{path}.linear"})
    placed = names.place(twice)
    assert placed[f"{path}.linear.linear.weight"].canonical == f"{path}.weight"
    assert placed[f"{path}.linear.lora_a"].canonical == f"{path}.linear.lora_a"
    assert placed[f"{path}.lora_a"].canonical == f"{path}.lora_a"
    shaped = names.modules([path, f"{path}.linear", f"{path}.linear.linear"], twice, placed)
    assert [shaped[p].adapters for p in shaped] == [2, 2, 2]
    assert [shaped[p].canonical for p in shaped] == [path, f"{path}.linear", path]


def test_roles_of_a_plain_model() -> None:
    found = roles(model() + [("model.layers.0.self_attn.q_proj.bias", "F32", (32,))])
    assert found["model.embed_tokens.weight"] == "embedding"
    assert found["lm_head.weight"] == "head"
    assert found["model.norm.weight"] == found["model.layers.1.input_layernorm.weight"] == "norm"
    assert found["model.layers.0.self_attn.q_proj.weight"] == "base"
    assert found["model.layers.0.self_attn.q_proj.bias"] == "bias"


def test_embedding_and_head_under_names_of_their_own() -> None:
    renamed = [(n.replace("embed_tokens", "t").replace("lm_head", "z"), d, s) for n, d, s in model()]
    assert roles(renamed)["model.t.weight"] == "embedding"
    assert roles(renamed)["z.weight"] == "head"


def test_quantized_parts_and_an_adapter_on_them() -> None:
    path = "model.layers.0.mlp.down_proj"
    tensors = adapt(model(bits=4), {path})
    placed = names.place(tensors)
    assert (
        placed[f"{path}.linear.scales"].role == "scales"
        and placed[f"{path}.linear.scales"].canonical == f"{path}.scales"
    )
    assert placed[f"{path}.linear.biases"].role == "biases"
    shaped = names.modules(
        [path, f"{path}.linear", "model.norm", "model", "model.layers.0.self_attn.q_proj"], tensors, placed
    )
    assert [shaped[p].kind for p in shaped] == ["adapter", "quantized", "norm", "container", "quantized"]
    assert shaped[path].rank == 4 and shaped[path].layer == 0 and shaped[path].adapters == 1


def test_switch_layers() -> None:
    path = "model.layers.3.mlp.switch_mlp.up_proj"
    tensors: list[Tensor] = [
        (f"{path}.linear.weight", "F32", (6, 64, 32)), (f"{path}.lora_a", "F32", (6, 4, 32)),
        (f"{path}.lora_b", "F32", (6, 64, 4)),
    ]  # fmt: skip
    placed = names.place(tensors)
    assert placed[f"{path}.linear.weight"].canonical == f"{path}.weight"
    assert names.modules([path, f"{path}.linear"], tensors, placed)[path].rank == 4
    assert names.modules([path, f"{path}.linear"], tensors, placed)[f"{path}.linear"].kind == "switch"


@pytest.mark.parametrize(
    "form", ["base_model.model.{}.lora_{}.weight", "base_model.model.{}.lora_{}.default.weight", "{}.lora_{}"]
)
def test_peft_names(form: str) -> None:
    path = "model.layers.0.self_attn.q_proj"
    tensors: list[Tensor] = [
        (form.format(path, "A"), "F32", (8, 32)),
        (form.format(path, "B"), "F32", (32, 8)),
    ]
    placed = list(names.place(tensors).values())
    assert [(p.canonical, p.module, p.role, p.layer) for p in placed] == [
        (f"{path}.lora_a", path, "lora_a", 0), (f"{path}.lora_b", path, "lora_b", 0),
    ]  # fmt: skip
    assert names.adapters({n: s for n, _, s in tensors})[path].rank == 8


def test_peft_base_layers_and_magnitudes() -> None:
    path = "base_model.model.model.layers.0.self_attn.q_proj"
    tensors: list[Tensor] = [
        (f"{path}.base_layer.weight", "F32", (32, 32)), (f"{path}.lora_A.default.weight", "F32", (8, 32)),
        (f"{path}.lora_B.default.weight", "F32", (32, 8)),
        (f"{path}.lora_magnitude_vector.default.weight", "F32", (32,)),
    ]  # fmt: skip
    placed = names.place(tensors)
    assert placed[f"{path}.base_layer.weight"].canonical == "model.layers.0.self_attn.q_proj.weight"
    assert placed[f"{path}.lora_magnitude_vector.default.weight"].role == "dora_m"


@pytest.mark.parametrize(
    ("inner", "a", "b"),
    [
        ("inner.weight", ("down", (32, 4)), ("up", (4, 32))),
        ("w.weight", ("p.weight", (4, 32)), ("q.weight", (32, 4))),
    ],
)
def test_hand_written_adapters_are_found_by_their_shapes(
    inner: str, a: tuple[str, tuple[int, int]], b: tuple[str, tuple[int, int]]
) -> None:
    path = "model.layers.1.self_attn.q_proj"
    tensors = [t for t in model() if t[0] != f"{path}.weight"]
    tensors += [
        (f"{path}.{inner}", "F32", (32, 32)),
        (f"{path}.{a[0]}", "F32", a[1]),
        (f"{path}.{b[0]}", "F32", b[1]),
    ]
    placed = names.place(tensors)
    assert placed[f"{path}.{inner}"].canonical == f"{path}.weight"
    assert (placed[f"{path}.{a[0]}"].role, placed[f"{path}.{b[0]}"].role) == ("lora_a", "lora_b")
    assert placed[f"{path}.{a[0]}"].module == placed[f"{path}.{b[0]}"].module == path


def test_attention_and_gated_layers_are_no_adapters() -> None:
    tensors: list[Tensor] = [
        ("layers.0.attn.q.weight", "F32", (64, 64)), ("layers.0.attn.k.weight", "F32", (16, 64)),
        ("layers.0.attn.v.weight", "F32", (16, 64)), ("layers.0.attn.o.weight", "F32", (64, 64)),
        ("layers.0.mlp.gate.weight", "F32", (32, 64)), ("layers.0.mlp.up.weight", "F32", (32, 64)),
        ("layers.0.mlp.down.weight", "F32", (64, 32)),
    ]  # fmt: skip
    assert names.adapters({n: s for n, _, s in tensors}) == {}


def test_a_tied_parameter_and_its_twin_are_one() -> None:
    placed = names.place(model(), tied={"lm_head.weight": "model.embed_tokens.weight"})
    assert placed["lm_head.weight"].canonical == "model.embed_tokens.weight"


@pytest.mark.parametrize("part", ["²", "٣", "9" * 5000, "-1", ""])
def test_what_looks_like_a_number_and_is_none(part: str) -> None:
    assert not names.is_number(part)
    assert names.layer_of(f"model.layers.{part}.weight") is None
