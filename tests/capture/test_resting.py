"""Models at rest as captures: in the store, on the fly from a path, with an adapter on them.

Compared by value across formats.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics import files
from forensics.capture import questions, rest
from forensics.capture.prompts import Prompt
from forensics.capture.rest import at_rest, capture_rest
from forensics.errors import UnreadableModel
from forensics.judge import compare
from forensics.judge.resolver import opened
from forensics.model.checkpoint import open_model
from forensics.store import facts
from forensics.store.loader import open_session
from forensics.store.session import Session
from forensics.store.store import Store
from tests.support import gguf, tiny

mx = pytest.importorskip("mlx.core")
KEYS = ["self_attn.q_proj", "self_attn.v_proj"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(rest, "askable", lambda _: False)  # loading a model takes seconds; two tests do
    return tmp_path / "cache"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def keep(store: Store, path: Path, adapter: Path | None = None, **options: Any) -> list[str]:
    """Capture at rest; returns what was said: warnings, then the summary."""
    said: list[str] = []
    given: dict[str, Any] = {"name": None, "tensors": "all", "prompts": None, "max_tokens": 8, "scorers": ()}
    summary = capture_rest(store, path, adapter, **{**given, **options}, warn=said.append)
    return [*said, summary]


def session(*captures: Any) -> Session:
    return open_session(captures, [c.store.run(c.run) for c in captures])


def adapters(directory: Path, peft: Path | None = None, layers: int = 1) -> Path:
    """An adapter of mlx-lm on the tiny model, and the same in PEFT's form where `peft` is given."""
    from safetensors.numpy import save_file

    random = np.random.default_rng(0)
    rows = {"self_attn.q_proj": 32, "self_attn.v_proj": 16}
    tensors = {}
    for layer in range(2 - layers, 2):
        for key in KEYS:
            path = f"model.layers.{layer}.{key}"
            tensors[f"{path}.lora_a"] = random.normal(size=(32, 4)).astype("f4")
            tensors[f"{path}.lora_b"] = random.normal(size=(4, rows[key])).astype("f4")
    directory.mkdir(parents=True)
    save_file(tensors, directory / "adapters.safetensors")
    settings = {"rank": 4, "scale": 10.0, "dropout": 0.0, "keys": KEYS}
    (directory / "adapter_config.json").write_text(
        json.dumps({"fine_tune_type": "lora", "num_layers": layers, "lora_parameters": settings})
    )
    if peft:
        peft.mkdir(parents=True)
        turned = {
            f"base_model.model.{name[:-1]}{name[-1].upper()}.weight": np.ascontiguousarray(t.T)
            for name, t in tensors.items()
        }
        save_file(turned, peft / "adapter_model.safetensors")
        (peft / "adapter_config.json").write_text(
            json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 40, "target_modules": ["q_proj"]})
        )
    return directory


# -- in the store --------------------------------------------------------------------------------------------


def test_a_model_is_kept_as_a_run_of_one_capture(store: Store) -> None:
    path = tiny.cached()
    (summary,) = keep(store, path)
    assert f"forensics: {path.name}: 27 tensors at rest" in summary
    run = store.run(path.name)
    assert [c.ref for c in run.captures] == [f"{path.name}@rest"] and run.head["kind"] == "rest"
    opened_ = session(run.captures[0])
    rows = opened_.rows(
        "SELECT name, digest, role, p.mean, kept FROM parameters p JOIN tensors USING (digest) ORDER BY name"
    )
    assert (
        len(rows) == 27 and {r["kept"] for r in rows} == {"pack"} and all(r["mean"] is not None for r in rows)
    )
    assert all((raw := opened_.read(r["digest"])) is not None and raw.nbytes for r in rows)
    configs = {
        (r["kind"], r["key"]): r["value"] for r in opened_.rows("SELECT kind, key, value FROM configs")
    }
    assert (
        configs["tokenizer", "vocab_size"] == configs["tokenizer", "rows"] == "384"
        and configs["model", "hidden_size"] == "32"
    )
    assert opened_.rows("SELECT kind FROM modules WHERE module = 'model.layers.0.self_attn.q_proj'") == [
        {"kind": "linear"}
    ]


def test_the_same_model_twice_takes_no_more_room_and_another_name(store: Store) -> None:
    path = tiny.cached()
    keep(store, path, name="base")
    before = store.packs.nbytes()
    said = keep(store, path, name="base")
    assert said[0] == "forensics: the name base is taken; this run is base-2, which base means from now on."
    assert store.packs.nbytes() == before


@pytest.mark.parametrize(("tensors", "kept"), [("new", "file"), ("none", "none"), ("trainable", "file")])
def test_bytes_stay_where_they_lie_where_that_is_asked(store: Store, tensors: str, kept: str) -> None:
    keep(store, tiny.cached(), name="base", tensors=tensors)
    assert store.packs.nbytes() == 0
    assert session(store.run("base").captures[0]).rows("SELECT DISTINCT kept FROM tensors") == [
        {"kept": kept}
    ]


def test_too_little_space_keeps_no_bytes_and_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(store.root.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    warning, _ = keep(store, tiny.cached(), name="base")
    assert (
        "--tensors new" in warning
        and store.packs.nbytes() == 0
        and store.run("base").head["tensors"] == "new"
    )


def test_a_model_that_changes_while_it_is_read_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(shutil.copytree(tiny.cached(), tmp_path / "model"))
    measured = rest.measured

    def slowly(stored: Any, workers: Any) -> Any:
        found = measured(stored, workers)
        os.utime(path / "model.safetensors", ns=(1, 1))
        return found

    monkeypatch.setattr(rest, "measured", slowly)
    with pytest.raises(UnreadableModel, match="changed while it was read"):
        keep(store, path)
    assert not store.run_names()


# -- an adapter on a base ------------------------------------------------------------------------------------


def test_an_adapter_on_its_base_keeps_the_bases_names(store: Store, tmp_path: Path) -> None:
    adapter = adapters(tmp_path / "adapters")
    keep(store, tiny.cached(), adapter, name="tuned")
    s = session(store.run("tuned").captures[0])
    path = "model.layers.1.self_attn.q_proj"
    rows = {r["name"]: r for r in s.rows("SELECT * FROM placements WHERE starts_with(canonical, ?)", [path])}
    assert (
        rows[f"{path}.linear.weight"]["canonical"] == f"{path}.weight"
        and rows[f"{path}.lora_a"]["role"] == "lora_a"
    )
    module = s.rows("SELECT kind, rank, scale, adapters, canonical FROM modules WHERE module = ?", [path])
    assert module == [{"kind": "adapter", "rank": 4, "scale": 10.0, "adapters": 1, "canonical": path}]
    told = {r["origin"]: r for r in s.rows("SELECT * FROM adapters")}
    assert (told["declared"]["rank"], told["declared"]["scale"], told["declared"]["num_layers"]) == (
        4,
        10.0,
        1,
    )
    assert (told["observed"]["rank"], told["observed"]["modules"], json.loads(told["observed"]["keys"])) == (
        4,
        2,
        KEYS,
    )
    (event,) = s.rows("SELECT detail FROM events WHERE kind = 'load'")
    detail = json.loads(event["detail"])
    assert {key: detail[key] for key in ("names", "matched", "unexpected", "absent")} == {
        "names": 4, "matched": 4, "unexpected": 0, "absent": 0,
    }  # fmt: skip


def test_factors_without_a_layer_are_counted(store: Store, tmp_path: Path) -> None:
    adapter = adapters(tmp_path / "adapters", layers=2)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"num_layers": 1}))
    detail = json.loads(
        session(at_rest(store, tiny.cached(), adapter)).rows("SELECT detail FROM events")[0]["detail"]
    )
    assert (detail["names"], detail["matched"], detail["unexpected"], detail["absent"]) == (8, 4, 4, 0)
    (adapter / "adapter_config.json").write_text(
        json.dumps(config | {"lora_parameters": {"rank": 4, "scale": 1.0, "keys": ["mlp.up_proj"]}})
    )
    detail = json.loads(
        session(at_rest(store, tiny.cached(), adapter)).rows("SELECT detail FROM events")[0]["detail"]
    )
    assert (detail["matched"], detail["unexpected"], detail["absent"]) == (0, 8, 4)


def test_the_load_that_is_told_is_what_mlx_lm_loads(tmp_path: Path, store: Store) -> None:
    from mlx.utils import tree_flatten
    from mlx_lm import load

    adapter = adapters(tmp_path / "adapters")
    module, _ = load(str(tiny.cached()), adapter_path=str(adapter))
    live = {name for name, _ in tree_flatten(module.parameters())}
    rows = session(at_rest(store, tiny.cached(), adapter)).rows("SELECT name FROM placements")
    assert {r["name"] for r in rows} == live


def test_a_model_is_no_adapter_and_an_adapter_is_no_model(tmp_path: Path, store: Store) -> None:
    adapter = adapters(tmp_path / "adapters")
    with pytest.raises(UnreadableModel, match="an adapter, not a model"):
        at_rest(store, adapter, adapter)
    with pytest.raises(UnreadableModel, match="a model, not an adapter"):
        at_rest(store, tiny.cached(), tiny.cached())


def test_a_model_that_gives_no_answers_says_that_it_has_no_scores(store: Store) -> None:
    warning, _ = keep(store, tiny.cached(), name="base", scorers=("own:words",))
    assert warning.startswith("forensics: the scores of own:words are missing: there are no answers")
    assert not store.run("base").head["complete"]


# -- what it says --------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_kept_model_answers_the_probes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "askable", questions.askable)
    question, answer = tiny.QA[0]
    prompts = [Prompt("q", prompt=question, reference=answer)]
    keep(store, tiny.cached(taught=True), name="base", prompts=prompts, max_tokens=24)
    s = session(store.run("base").captures[0])
    (said,) = s.rows("SELECT * FROM transcripts")
    assert (said["output"], said["finish_reason"], said["source"]) == (answer, "stop", "probe")
    assert s.read(said["logits_digest"]) is not None
    assert s.rows("SELECT value FROM scores WHERE scorer = 'exact-match'") == [{"value": 1.0}]
    assert s.rows("SELECT class FROM tokens ORDER BY position DESC LIMIT 1") == [{"class": "end"}]
    assert s.rows("SELECT complete FROM captures") == [{"complete": True}]
    assert s.rows("SELECT 1 FROM configs WHERE key LIKE 'frame.%'")  # facts of the tokenizer that was loaded


@pytest.mark.long
def test_two_models_at_rest_are_asked_the_same(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "askable", questions.askable)
    o = opened(store, [str(tiny.cached()), str(tiny.cached(taught=True))], ask=True)
    rows = o.session.rows("SELECT * FROM probe_deltas")
    assert len(rows) == 3 and all(r["logits_max_abs"] > 0 and r["kl"] > 0 for r in rows)
    assert not store.root.exists()


@pytest.mark.long
def test_what_cannot_be_loaded_is_said_as_missing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "askable", questions.askable)
    path = Path(shutil.copytree(tiny.cached(), tmp_path / "model"))
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"model_type": "no_such_architecture"}))
    keep(store, path, name="odd")
    head = store.run("odd").captures[0].head
    assert head["complete"] is False and "probes" in str(head["missing"])


# -- on the fly ----------------------------------------------------------------------------------------------


def document(store: Store, *words: str, adapter: Path | None = None) -> dict[str, Any]:
    o = opened(store, words, adapter=adapter)
    return compare.document(compare.compare(o.session, o.a, o.b))


def test_paths_are_compared_and_nothing_is_written_into_the_store(store: Store, tmp_path: Path) -> None:
    base, other = str(tiny.cached()), Path(shutil.copytree(tiny.cached(), tmp_path / "other"))
    assert document(store, base, str(other))["same"]
    tensors = mx.load(str(other / "model.safetensors"))
    tensors["model.norm.weight"] = tensors["model.norm.weight"] + 1
    mx.save_safetensors(str(other / "model.safetensors"), tensors)
    found = document(store, base, str(other))
    assert found["parameters"]["changed"] == 1 and found["a"] == base
    assert found["changed"][0]["name"] == "model.norm.weight" and found["changed"][0][
        "max_abs"
    ] == pytest.approx(1.0)
    assert not store.root.exists()


def test_a_path_and_its_capture_are_the_same(store: Store) -> None:
    path = tiny.cached()
    keep(store, path, name="base")
    assert document(store, str(path), "base")["same"]


def test_only_what_was_measured_is_remembered_and_a_changed_file_is_measured_again(
    store: Store, tmp_path: Path, cache: Path
) -> None:
    path = Path(shutil.copytree(tiny.cached(), tmp_path / "model"))
    file = path / "model.safetensors"
    os.utime(file, (1e9, 1e9))
    first = session(at_rest(store, path)).rows("SELECT name, digest, mean FROM parameters ORDER BY name")
    (entry,) = (cache / "mlx-forensics" / "files").iterdir()
    assert (
        session(at_rest(store, path)).rows("SELECT name, digest, mean FROM parameters ORDER BY name") == first
    )
    held = json.loads(entry.read_text())
    assert set(held) == {"file", "tensors"} and len(held["tensors"]) == 27
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, (1e9 + 1, 1e9 + 1))
    assert (
        session(at_rest(store, path)).rows("SELECT name, digest, mean FROM parameters ORDER BY name") != first
    )
    entry.write_text("{")
    os.utime(file, (1e9, 1e9))
    assert session(at_rest(store, path)).rows("SELECT count(*) AS n FROM parameters WHERE mean IS NULL") == [
        {"n": 0}
    ]


def test_a_file_of_this_moment_is_not_remembered(store: Store, tmp_path: Path) -> None:
    path = Path(shutil.copytree(tiny.cached(), tmp_path / "model"))
    (path / "model.safetensors").touch()
    at_rest(store, path)
    assert not list((files.cache_directory() / "files").glob("*"))


# -- by value across formats ---------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [None, 4, 6])
def test_show_counts_the_parameters_of_a_packed_model_as_mlx_lm_does(store: Store, bits: int | None) -> None:
    from mlx_lm.utils import get_total_parameters, load

    path = tiny.cached(bits=bits)
    found = at_rest(store, path)
    told = facts.of_capture(found, None)
    assert told["parameters"] == get_total_parameters(load(str(path))[0])
    assert told["tensors"] == sum(1 for _ in open_model(path).tensors()) and {
        m["class"] for m in told["modules"]
    } >= {
        "quantized" if bits else "linear",
        "norm",
    }


def test_quantized_against_dense_by_value(store: Store) -> None:
    found = document(store, str(tiny.cached()), str(tiny.cached(bits=4)))
    changed = {c["name"]: c for c in found["changed"]}
    weight = changed["model.layers.0.self_attn.q_proj.weight"]
    assert 0 < weight["relative"] < 0.2 and weight["cosine"] > 0.98


def test_one_adapter_in_two_formats_is_the_same_by_value(store: Store, tmp_path: Path) -> None:
    mine = adapters(tmp_path / "mlx", tmp_path / "peft")
    found = document(store, str(mine), str(tmp_path / "peft"))
    assert found["parameters"] == {"a": 4, "b": 4, "identical": 4, "changed": 0, "added": 0, "removed": 0}
    file = tmp_path / "peft" / "adapter_model.safetensors"
    tensors = mx.load(str(file))
    name = next(n for n in tensors if n.endswith("q_proj.lora_A.weight"))
    tensors[name] = tensors[name] + mx.array(np.eye(4, 32, dtype="f4"))
    mx.save_safetensors(str(file), tensors)
    (change,) = document(store, str(mine), str(tmp_path / "peft"))["changed"]
    assert change["max_abs"] == pytest.approx(1.0, abs=1e-6) and change["changed_fraction"] == pytest.approx(
        4 / 128
    )


def test_a_gguf_file_against_its_mlx_directory(store: Store, tmp_path: Path) -> None:
    """F32 rows of q and k lie interleaved over the heads in a llama file.

    Q8_0 blocks are compared by their values.
    """
    directory = tiny.cached("llama")
    tensors = {name: np.array(value) for name, value in mx.load(str(directory / "model.safetensors")).items()}
    path = "model.layers.0.self_attn"
    q, k, v = (tensors[f"{path}.{part}_proj.weight"] for part in "qkv")
    woven = {
        h: x.reshape(h, 2, x.shape[0] // h // 2, -1).swapaxes(1, 2).reshape(x.shape)
        for h, x in ((4, q), (2, k))
    }
    scale = np.abs(v).max(axis=1, keepdims=True) / 127
    codes = np.round(v / scale).astype("i1")
    blocks = b"".join(np.float16(s[0]).tobytes() + c.tobytes() for s, c in zip(scale, codes, strict=True))
    made = {
        "blk.0.attn_q.weight": ("F32", q.shape, woven[4].astype("<f4").tobytes()),
        "blk.0.attn_k.weight": ("F32", k.shape, woven[2].astype("<f4").tobytes()),
        "blk.0.attn_v.weight": ("Q8_0", v.shape, blocks),
    }
    pairs = [gguf.word("general.architecture", "llama"), gguf.number("llama.attention.head_count", 4)]
    file = gguf.write(tmp_path / "m.gguf", made, [*pairs, gguf.number("llama.attention.head_count_kv", 2)])
    found = document(store, str(file), str(directory))
    assert found["parameters"]["identical"] == 2
    (change,) = found["changed"]
    assert change["dtype"] == "Q8_0 -> F32" and change["name"] == "blk.0.attn_v.weight"
    dense = (np.float16(scale).astype("f4") * codes).astype("f4")
    assert change["max_abs"] == pytest.approx(float(np.abs(v - dense).max()), rel=1e-6)
    assert change["l2"] == pytest.approx(float(np.linalg.norm(v.astype("f8") - dense)), rel=1e-6)
