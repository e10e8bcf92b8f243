"""Two models on disk, bytes first.

The comparison says what full measuring says, and reads no more than it must.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.capture import filepair
from forensics.capture.filepair import compared, equal
from forensics.errors import UnreadableModel
from forensics.judge.compare import compare, document
from forensics.judge.resolver import opened
from forensics.model.checkpoint import open_model
from forensics.store.store import Store
from tests.tensors.test_measure import from_array, raw


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def model(path: Path, tensors: dict[str, np.ndarray[Any, Any]], config: dict[str, Any] | None = None) -> Path:
    path.mkdir()
    header, at = {}, 0
    for name, array in tensors.items():
        header[name] = {
            "dtype": {"<f4": "F32", "<u4": "U32"}[array.dtype.str],
            "shape": list(array.shape),
            "data_offsets": [at, at + array.nbytes],
        }
        at += array.nbytes
    text = json.dumps(header).encode()
    (path / "model.safetensors").write_bytes(
        len(text).to_bytes(8, "little") + text + b"".join(a.tobytes() for a in tensors.values())
    )
    (path / "config.json").write_text(json.dumps({"model_type": "llama", **(config or {})}))
    return path


def two(root: Path) -> tuple[Path, Path]:
    random = np.random.default_rng(0)
    a = {
        f"model.layers.0.mlp.{n}.weight": random.normal(size=(40, 64)).astype("<f4")
        for n in ("up_proj", "down_proj", "gate_proj")
    }
    b = {name: x.copy() for name, x in a.items()}
    b["model.layers.0.mlp.up_proj.weight"][3, 5] += 1
    b["model.layers.0.mlp.gate_proj.weight"] = random.normal(size=(48, 64)).astype("<f4")
    return model(root / "a", a), model(root / "b", b | {"model.norm.weight": np.ones(64, "<f4")})


def said(root: Path, *, light: bool) -> dict[str, Any]:
    words = (str(root / "a"), str(root / "b"))
    evidence = opened(Store(root / "store"), words, light=light)
    found = document(compare(evidence.session, evidence.a, evidence.b))
    for row in found[
        "changed"
    ]:  # compiled loops, which a process loads once it measured enough, may differ in the last digit
        row |= {
            key: pytest.approx(value, rel=1e-12) for key, value in row.items() if isinstance(value, float)
        }
    return found


def test_says_what_measuring_says(tmp_path: Path) -> None:
    two(tmp_path)
    light = said(tmp_path, light=True)
    assert light == said(tmp_path, light=False)
    assert light["parameters"] == {"a": 3, "b": 4, "identical": 1, "changed": 2, "added": 1, "removed": 0}


def test_a_tied_head_that_lies_there_twice_is_one(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(64, 32)).astype("<f4")
    for name, scale in (("a", 1), ("b", 2)):
        tensors = {
            "model.embed_tokens.weight": (x * scale).astype("<f4"),
            "lm_head.weight": (x * scale).astype("<f4"),
        }
        model(tmp_path / name, tensors, {"tie_word_embeddings": True})
    light = said(tmp_path, light=True)
    assert light == said(tmp_path, light=False) and light["parameters"]["changed"] == 1


def test_quantized_weights_are_compared_by_value_too(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in "ab":
        codes = np.random.default_rng(1).integers(0, 2**32, (16, 8), dtype=np.uint32).astype("<u4")
        parts = {
            "weight": codes,
            "scales": np.ones((16, 1), "<f4"),
            "biases": random.normal(size=(16, 1)).astype("<f4"),
        }
        quantization = {"quantization": {"bits": 4, "group_size": 64}}
        model(tmp_path / name, {f"model.layers.0.mlp.up_proj.{k}": v for k, v in parts.items()}, quantization)
    assert said(tmp_path, light=True) == said(tmp_path, light=False)


def test_what_was_measured_before_is_not_read_again(tmp_path: Path) -> None:
    paths = two(tmp_path)
    stored = [open_model(path).stored for path in paths]
    assert compared(*stored) is not None
    for path in paths:
        # a file that was just written may change again unseen
        os.utime(path / "model.safetensors", (1e9, 1e9))
    said(tmp_path, light=False)
    assert compared(*(open_model(path).stored for path in paths)) is None


def test_equal_stops_at_the_first_difference() -> None:
    x = np.zeros(3 * filepair.STEP // 4, "<f4")
    y = x.copy()
    y[0] = 1
    ends: list[int] = []
    a, b = from_array(x, "F32"), from_array(y, "F32")
    watched = type(a)(
        a.name, a.dtype, a.shape, a.nbytes, lambda start, stop: (ends.append(stop), a.read(start, stop))[1]
    )
    assert not equal(watched, b) and ends == [filepair.STEP]
    assert equal(watched, a) and ends[-1] == a.nbytes
    assert not equal(raw(bytes(8), "F32", (2,)), raw(bytes(8), "F32", (1, 2))) and not equal(
        raw(bytes(4), "F32", (1,)), raw(bytes(4), "I32", (1,))
    )


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = (open_model(path).stored for path in two(tmp_path))
    real = filepair.equal

    def meanwhile(x: Any, y: Any) -> bool:
        os.utime(tmp_path / "a/model.safetensors", (1, 1))
        return real(x, y)

    monkeypatch.setattr(filepair, "equal", meanwhile)
    with pytest.raises(UnreadableModel, match="changed while"):
        compared(a, b)


def test_small_tensors_that_lie_together_are_told_apart(tmp_path: Path) -> None:
    """They are read in one piece, and each is judged by itself, whatever its neighbours do.

    So are two of which one moved in its file.
    """
    random = np.random.default_rng(2)
    a = {f"model.layers.{n}.mlp.up_proj.weight": random.normal(size=(8, 8)).astype("<f4") for n in range(12)}
    b = {name: x.copy() for name, x in a.items()}
    for n in (0, 5, 11):
        b[f"model.layers.{n}.mlp.up_proj.weight"][n % 8, 0] += 1
    names = list(b)
    b = {name: b[name] for name in (names[3], *names[:3], *names[4:])}
    model(tmp_path / "a", a)
    model(tmp_path / "b", b)
    found = said(tmp_path, light=True)
    assert [row["name"] for row in found["changed"]] == [
        f"model.layers.{n}.mlp.up_proj.weight" for n in (0, 5, 11)
    ]
    assert found == said(tmp_path, light=False)
