"""An adapter at rest on its base: right set-ups of mlx-lm and PEFT are not accused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from forensics.capture import rest
from forensics.judge.diagnose import Diagnosis, diagnose
from forensics.store.store import Store
from tests.support import tiny
from tests.support.command import forensics

pytest.importorskip("mlx.core")
TARGETS = {"self_attn.q_proj": 32, "self_attn.v_proj": 16}
"""The layers that are adapted, with their outputs; each takes 32 inputs."""
EMBEDDING = "model.embed_tokens.weight"
Tensors = dict[str, np.ndarray]


@pytest.fixture(autouse=True)
def unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(rest, "askable", lambda _: False)  # loading a model takes seconds


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny.cached(), tmp_path / "base"))


def factors(rank: int = 4, ranks: dict[str, int] | None = None) -> Tensors:
    """Factors as mlx-lm has them: A (inputs, rank), B (rank, outputs)."""
    random, tensors = np.random.default_rng(0), {}
    for layer in range(2):
        for key, rows in TARGETS.items():
            own, path = (ranks or {}).get(key, rank), f"model.layers.{layer}.{key}"
            tensors[f"{path}.lora_a"] = random.normal(0, 0.02, size=(32, own)).astype("f4")
            tensors[f"{path}.lora_b"] = random.normal(0, 0.02, size=(own, rows)).astype("f4")
    return tensors


def turned(tensors: Tensors) -> Tensors:
    """The same as PEFT saves it: A (rank, inputs), B (outputs, rank)."""
    return {
        f"base_model.model.{name[:-1]}{name[-1].upper()}.weight": np.ascontiguousarray(tensor.T)
        for name, tensor in tensors.items()
    }


def mlx(directory: Path, tensors: Tensors, **parameters: Any) -> Path:
    settings = {"rank": 4, "scale": 10.0, "dropout": 0.0, "keys": [*TARGETS], **parameters}
    config = {"fine_tune_type": "lora", "num_layers": -1, "lora_parameters": settings}
    return written(directory, "adapters.safetensors", tensors, config)


def peft(directory: Path, tensors: Tensors, **settings: Any) -> Path:
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 40, "target_modules": ["q_proj", "v_proj"]}
    return written(directory, "adapter_model.safetensors", tensors, {**config, **settings})


def written(directory: Path, name: str, tensors: Tensors, config: dict[str, Any]) -> Path:
    directory.mkdir(exist_ok=True)
    save_file(tensors, directory / name)
    (directory / "adapter_config.json").write_text(json.dumps(config))
    return directory


def judged(tmp_path: Path, base: Path, adapter: Path) -> Diagnosis:
    diagnosis = diagnose(Store(tmp_path / "store"), [str(base), str(adapter)])
    assert isinstance(diagnosis, Diagnosis)
    return diagnosis


# -- right ---------------------------------------------------------------------------------------------------


def moved(base: Path, *names: str) -> Tensors:
    """Tensors of the base as training left them."""
    tensors = load_file(base / "model.safetensors")
    return {name: tensors[name] + np.float32(0.01) for name in names}


def test_what_was_trained_beside_the_factors_and_saved_with_them_is_no_overwritten_base(
    tmp_path: Path, base: Path
) -> None:
    beside = moved(base, "model.norm.weight")
    assert not judged(tmp_path, base, mlx(tmp_path / "norm", {**factors(), **beside})).findings


@pytest.mark.parametrize("form", ["{}.weight", "{}.modules_to_save.default.weight"])
def test_modules_to_save_of_peft_are_no_overwritten_base(tmp_path: Path, base: Path, form: str) -> None:
    (head,) = moved(base, "model.embed_tokens.weight").values()
    saved = {"base_model.model." + form.format("model.embed_tokens"): head}
    adapter = peft(tmp_path / "a", {**turned(factors()), **saved}, modules_to_save=["embed_tokens"])
    assert not judged(tmp_path, base, adapter).findings


@pytest.mark.parametrize("pattern", ["q_proj", "self_attn.q_proj"])
def test_a_rank_pattern_is_a_scale_of_its_own(tmp_path: Path, base: Path, pattern: str) -> None:
    tensors = turned(factors(ranks={"self_attn.q_proj": 2}))
    assert not judged(tmp_path, base, peft(tmp_path / "a", tensors, rank_pattern={pattern: 2})).findings


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": r".*\.(q|v)_proj"},
        {"target_modules": "all-linear"},
        {"target_modules": ["q_proj", "v_proj", "k_proj"], "exclude_modules": ["k_proj"]},
        {"use_rslora": True, "lora_alpha": 20},
        {"alpha_pattern": {"q_proj": 8}},
        {"rank_pattern": {r"layers\.(0|1)\.self_attn\.q_proj": 4}, "r": 8, "lora_alpha": 80},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_what_peft_can_be_told_otherwise_is_no_other_adapter(
    tmp_path: Path, base: Path, settings: dict[str, Any]
) -> None:
    assert not judged(tmp_path, base, peft(tmp_path / "a", turned(factors()), **settings)).findings


@pytest.mark.parametrize("prefix", ["language_model.model.", "model.language_model."])
def test_a_prefix_that_peft_has_around_the_language_model_is_told_and_no_fault(
    tmp_path: Path, base: Path, prefix: str
) -> None:
    root = "base_model.model."
    tensors = {
        name.replace(f"{root}model.", root + prefix): tensor for name, tensor in turned(factors()).items()
    }
    assert said(judged(tmp_path, base, peft(tmp_path / "a", tensors))) == {"adapter-not-loaded": "info"}


def test_an_adapter_on_a_packed_base_fits(tmp_path: Path, base: Path) -> None:
    import mlx.core as mx

    tensors = {}
    for name, tensor in mx.load(str(base / "model.safetensors")).items():
        if name.endswith(("_proj.weight", "embed_tokens.weight")):
            packed = mx.quantize(tensor, group_size=32, bits=4)
            path = name.removesuffix("weight")
            tensors |= dict(zip((name, f"{path}scales", f"{path}biases"), packed, strict=True))
        else:
            tensors[name] = tensor
    mx.save_safetensors(str(base / "model.safetensors"), tensors, {"format": "mlx"})
    assert not judged(tmp_path, base, mlx(tmp_path / "a", factors())).findings
    whole = {f"base_model.model.{name}": tensor for name, tensor in moved(tiny.cached(), EMBEDDING).items()}
    saved = peft(tmp_path / "p", {**turned(factors()), **whole}, modules_to_save=["embed_tokens"])
    assert "base-weights-overwritten" not in said(judged(tmp_path, base, saved))


@pytest.mark.parametrize("form", [mlx, peft])
def test_a_whole_model_beside_an_adapter_is_another_thing(tmp_path: Path, base: Path, form: Any) -> None:
    both = Path(shutil.copytree(base, tmp_path / "both"))
    form(both, factors() if form is mlx else turned(factors()))
    on = diagnose(Store(tmp_path / "store"), [str(base)], adapter=both)
    assert isinstance(on, Diagnosis) and not on.findings
    assert "lora-partial" in {cleared.id for cleared in on.clean}, "the adapter is on the base"


def test_a_rank_above_the_layers_own_size_is_the_declared_one(tmp_path: Path, base: Path) -> None:
    adapter = peft(tmp_path / "a", turned(factors(rank=48)), r=48, lora_alpha=48)
    assert not judged(tmp_path, base, adapter).findings


def test_a_base_and_an_adapter_differ_by_the_adapter_alone(tmp_path: Path, base: Path) -> None:
    done = forensics(tmp_path, "diff", str(base), str(mlx(tmp_path / "a", factors())), "--json")
    counts = json.loads(done.out)["parameters"]
    assert (counts["added"], counts["removed"], counts["changed"]) == (8, 0, 0)


# -- wrong ---------------------------------------------------------------------------------------------------

Q = "model.layers.0.self_attn.q_proj"


def said(diagnosis: Diagnosis) -> dict[str, str]:
    return {finding.id: finding.severity for finding in diagnosis.findings}


def test_names_that_the_base_has_not(tmp_path: Path, base: Path) -> None:
    other = {name.replace("self_attn", "attention"): tensor for name, tensor in factors().items()}
    (finding,) = judged(tmp_path, base, mlx(tmp_path / "a", other)).findings
    assert (finding.id, finding.severity) == ("adapter-not-loaded", "error")
    assert finding.claim.startswith("8 of 8 names in the file are not in the model")


def test_names_of_another_library_are_a_warning(tmp_path: Path, base: Path) -> None:
    other = turned({name.replace("self_attn", "attention"): tensor for name, tensor in factors().items()})
    assert said(judged(tmp_path, base, peft(tmp_path / "a", other))) == {"adapter-not-loaded": "warning"}


@pytest.mark.parametrize("leaf", ["lora_a", "lora_b"])
@pytest.mark.parametrize("axis", [0, 1])
def test_factors_of_other_sizes(tmp_path: Path, base: Path, leaf: str, axis: int) -> None:
    """Inputs, rank, rank and outputs: each of the four sizes is another in one layer."""
    tensors = factors()
    tensors[f"{Q}.{leaf}"] = np.concatenate([tensors[f"{Q}.{leaf}"]] * 2, axis)
    for name, adapter in (
        ("mlx", mlx(tmp_path / "mlx", tensors)),
        ("peft", peft(tmp_path / "peft", turned(tensors))),
    ):
        assert said(judged(tmp_path, base, adapter)) == {"adapter-not-loaded": "error"}, name


def test_factors_that_lie_the_other_way_round(tmp_path: Path, base: Path) -> None:
    tensors = {name: np.ascontiguousarray(tensor.T) for name, tensor in factors().items()}
    (finding,) = judged(tmp_path, base, mlx(tmp_path / "a", tensors)).findings
    assert (finding.severity, finding.fix.startswith("transpose")) == ("warning", True)


def test_half_an_adapter_and_dora_without_its_magnitudes(tmp_path: Path, base: Path) -> None:
    half = {name: tensor for name, tensor in factors().items() if name != f"{Q}.lora_b"}
    assert said(judged(tmp_path, base, mlx(tmp_path / "half", half))) == {"adapter-incomplete": "error"}
    bare = peft(tmp_path / "dora", turned(factors()), use_dora=True)
    assert said(judged(tmp_path, base, bare)) == {"adapter-incomplete": "error"}


@pytest.mark.parametrize("settings", [{"r": 8, "lora_alpha": 80}, {"rank_pattern": {"q_proj": 2}}], ids=str)
def test_a_rank_that_peft_is_told_and_the_file_has_not(
    tmp_path: Path, base: Path, settings: dict[str, Any]
) -> None:
    (finding,) = judged(tmp_path, base, peft(tmp_path / "a", turned(factors()), **settings)).findings
    assert (finding.id, finding.severity) == (
        "adapter-not-loaded",
        "error",
    ) and "as declared" in finding.claim


def test_a_module_that_peft_is_told_to_save_and_the_file_has_not(tmp_path: Path, base: Path) -> None:
    adapter = peft(tmp_path / "a", turned(factors()), modules_to_save=["embed_tokens"])
    assert said(judged(tmp_path, base, adapter)) == {"adapter-incomplete": "error"}
