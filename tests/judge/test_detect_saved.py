"""Detectors of what was saved, loaded and fused, on hand-made rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from forensics.capture.fusion import fusions
from forensics.judge import diagnose, library
from tests.support.evidence import Made, ask, capture, event, evidence, parameter, row, run, step

NAMES = {"w": "base", "q.lora_a": "lora_a", "q.lora_b": "lora_b"}
DETECTORS = (
    "adapter-not-loaded", "adapter-incomplete", "saved-untrained", "saved-before-last-update",
    "save-failed", "wrong-base", "reload-mismatch",
)  # fmt: skip


def state(
    point: str,
    model: str = "m0",
    *,
    trained: bool,
    base: str = "base",
    names: tuple[str, ...] = tuple(NAMES),
    **columns: Any,
) -> list[Made]:
    """A capture of base weight `w` and the adapter of `q`, as before or after training."""
    made = capture(point, model=model, **columns)
    ref = made[1]["capture"]
    digests = {"w": base, "q.lora_a": f"a{trained:d}", "q.lora_b": f"b{trained:d}"}
    placed = [parameter(ref, name, digests[name], role=NAMES[name], trainable=name != "w") for name in names]
    return [made, *(each for part in placed for each in part)]


def saved(
    digests: Mapping[str, str | None], *, save: int = 0, updates: int | None = 8, model: str | None = "m0"
) -> list[Made]:
    base = {
        "run": "r",
        "process": 0,
        "save": save,
        "file": f"f{save}.safetensors",
        "model": model,
        "updates": updates,
        "place": "train.py:7",
    }
    written = [
        row("saved_tensors", **base, name=name, canonical=name, digest=d, digest_on_disk=d)
        for name, d in digests.items()
    ]
    told = event(
        "save",
        50 + save,
        detail={"save": save, "via": "mx.save_safetensors", "names": len(digests), "ok": True},
    )
    return [*(written or [row("saved_tensors", **base)]), told]


def session(*made: Any) -> Any:
    return evidence(
        run(saves=1),
        state("loaded", trained=False, names=("w",)),
        state("start", trained=False),
        state("end", trained=True, updates=8),
        *made,
    )


def named(*made: Any) -> list[str]:
    """The detectors of this family that are at fault."""
    over = session(*made)
    return [name for name in DETECTORS if any(each["fault"] for each in ask(over, name, "r@loaded", "r@end"))]


TRAINED, FRESH, MIDWAY = (
    {"q.lora_a": "a1", "q.lora_b": "b1"},
    {"q.lora_a": "a0", "q.lora_b": "b0"},
    {"q.lora_a": "a5", "q.lora_b": "b5"},
)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ([saved(TRAINED)], []),
        ([saved(FRESH)], ["saved-untrained"]),
        ([saved(FRESH, updates=0), saved(TRAINED, save=1)], []),  # a first checkpoint is no fault
        ([saved(MIDWAY, updates=5)], ["saved-before-last-update"]),
        ([saved(MIDWAY, updates=5), saved(TRAINED, save=1)], []),
        ([saved({"q.lora_b": "b1"})], ["adapter-incomplete"]),
        ([saved({})], ["save-failed"]),
        ([saved({}), saved(TRAINED, save=1)], []),
        ([saved({}), saved({"learning_rate": "s"}, save=1, model=None)], ["save-failed"]),  # no weights
        ([saved({}), saved({"q.lora_a": "a9", "q.lora_b": "b9"}, save=1, model=None)], []),  # cast
        ([saved({"w": "other"}, model="m1")], []),
    ],
)  # fmt: skip
def test_which_state_a_file_holds(made: list[Any], expected: list[str]) -> None:
    assert named(*made) == expected


BLANK = {"q.lora_a": "a8", "q.lora_b": "b0"}


@pytest.mark.parametrize(
    ("written", "writes", "fault"),
    [(BLANK, 0, True), (BLANK, 3, False), (TRAINED, 0, False), (MIDWAY, 0, False)],
)
def test_a_file_of_an_object_that_was_never_updated(
    written: dict[str, str], writes: int, fault: bool
) -> None:
    """A second conversion of the base; what had writes may be an average."""
    other = row("models", run="r", model="m1", process=0, updates=0, writes=writes)
    made = [
        capture("adapted", model="m1"),
        *(parameter("r@adapted:m1", name, d) for name, d in BLANK.items()),
    ]
    over = session(other, made[0], *(each for each in made[1:]), saved(written, model="m1", updates=0))
    assert any(each["fault"] for each in ask(over, "saved-untrained", "r@loaded", "r@end")) == fault


@pytest.mark.parametrize(
    ("twice", "files", "fault"),
    [
        (2, ["f0.safetensors", "f1.safetensors"], ["f0.safetensors"]),  # an earlier save of the run
        (2, ["f1.safetensors", "old.safetensors"], ["old.safetensors"]),  # of nobody here
        (0, ["f1.safetensors", "old.safetensors"], []),  # shards
        (0, ["f1.safetensors"], []),
    ],
)
def test_files_beside_the_last_save(twice: int, files: list[str], fault: list[str]) -> None:
    read = event("load", 90, detail={"via": "reload", "what": "model", "twice": twice, "files": files})
    over = session(saved(FRESH), saved(TRAINED, save=1), read)
    rows = ask(over, "leftover-weights", "r@loaded", "r@end")
    assert [each["subject"] for each in rows if each["fault"]] == fault


@pytest.mark.parametrize(
    ("loaded", "own", "fault"),
    [(1e6, True, True), (10000, True, False), (1e6, False, False)],
)
def test_settings_of_layers_that_the_written_configuration_loses(
    loaded: float, own: bool, fault: bool
) -> None:
    """Without a configuration of its own a file is loaded on the base's."""
    rope = {"module": "q.rope", "canonical": "q.rope", "class": "RoPE", "kind": "other"}
    made = [
        row("modules", capture="r@end", attributes={"base": 10000.0, "dims": 16}, **rope),
        row("modules", capture="r@reloaded", attributes={"base": loaded, "dims": 16}, **rope),
        row("configs", capture="r@end", kind="model", key="rope_theta", value="10000.0"),
    ]
    made += [row("configs", capture="r@saved", kind="model", key="model_type", value='"x"')] if own else []
    over = session(capture("saved", source="file"), capture("reloaded", source="reload"), *made)
    assert any(each["fault"] for each in ask(over, "config-lost", "r@loaded", "r@end")) == fault


def test_a_raising_save_counts_where_no_later_one_is_whole() -> None:
    raised = event("error", 40, detail={"type": "TypeError", "call": "mx.save_safetensors", "caught": True})
    assert named(raised) == ["save-failed"]
    assert named(raised, saved(TRAINED)) == []


def load(**detail: Any) -> Made:
    return event(
        "load",
        60,
        detail={"what": "adapter", "via": "load_weights", "from_adapter": True, "names": 2, **detail},
    )


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ({"matched": 2, "unexpected": 0, "absent": 0}, []),
        ({"matched": 0, "unexpected": 2, "absent": 2}, ["adapter-not-loaded"]),
        ({"matched": 1, "unexpected": 0, "absent": 1}, ["adapter-incomplete"]),
    ],
)
def test_how_the_names_of_a_file_meet_the_model(detail: dict[str, int], expected: list[str]) -> None:
    assert named(saved(TRAINED), load(**detail)) == expected


def test_our_own_reload_is_no_load_of_the_program() -> None:
    met = {"matched": 2, "unexpected": 0, "absent": 0}
    again = ("events", load(**met)[1] | {"place": None, "sequence": 70})
    assert ask(session(again), "adapter-not-loaded", "r@loaded", "r@end")[0]["seen"].startswith(
        "none by the program"
    )
    assert (
        ask(session(load(**met), again), "adapter-not-loaded", "r@loaded", "r@end")[0]["seen"]
        == "1 by the program, all names met"
    )


def answers(relative: float) -> Made:
    return row(
        "probe_deltas",
        capture_a="r@end",
        capture_b="r@reloaded",
        prompt_id="p0",
        logits_max_abs=10 * relative,
        logits_scale=10.0,
    )


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ([state("reloaded", trained=True), answers(0.0)], []),
        ([state("reloaded", trained=True), answers(0.3)], ["reload-mismatch"]),
        ([state("reloaded", trained=True, base="other"), answers(0.3)], ["wrong-base"]),
        ([state("reloaded", trained=False), answers(0.3)], ["reload-mismatch"]),
        ([state("reloaded", trained=True, base="fused", names=("w",)), answers(0.3)], ["reload-mismatch"]),
        ([state("reloaded", trained=True, base="fused", names=("w",)), answers(0.00001)], []),
        ([state("reloaded", trained=False), answers(0.001)], []),  # another type, the same answers
        ([state("loaded", "m1", trained=True, base="other")], ["wrong-base"]),
        ([state("loaded", "m1", trained=False, base="other")], []),  # another model altogether
    ],
)
def test_what_a_reload_brings_back(made: list[Any], expected: list[str]) -> None:
    assert named(saved(TRAINED), *made) == expected


def test_a_file_that_its_own_loader_refuses_is_told_with_what_it_raised() -> None:
    refused = {"via": "reload", "ok": "false", "message": "ValueError: Received 2 parameters not in model"}
    over = session(saved(TRAINED), event("load", 95, detail=refused))
    gap = next(iter(over.rows("SELECT gap FROM need_reloaded('r@loaded', 'r@end')")))["gap"]
    assert gap["kind"] == "unseen" and gap["needs"].endswith("fresh process: " + refused["message"])


def test_a_reload_of_an_early_file_is_explained_by_the_file() -> None:
    assert named(saved(FRESH), state("reloaded", trained=False), answers(0.3)) == ["saved-untrained"]


def test_a_tensor_of_the_file_that_the_loaded_model_lacks() -> None:
    file, back = state("saved", trained=True), state("reloaded", trained=True, names=("w", "q.lora_a"))
    assert named(saved(TRAINED), file, back, answers(0.0)) == ["reload-mismatch"]


@pytest.mark.parametrize(
    ("shares", "lost", "twice"),
    [
        ((1.0, 1.0), False, False),
        ((0.1, 0.2), True, False),
        ((2.0, 2.0), False, True),
        ((0.2, 1.1), False, False),
    ],
)
def test_the_share_of_the_update_in_fused_weights(
    shares: tuple[float, float], lost: bool, twice: bool
) -> None:
    fused = [state("loaded", "m1", trained=False, names=("w",), base="fused")]
    pair = {"capture_adapter": "r@end", "capture_fused": "r@loaded:m1", "cosine": 1.0, "quantized": False}
    projected = [
        row("fusions", **pair, module=f"l{n}", k=k, intended_l2=1.0 + 2 * n, realised_l2=k)
        for n, k in enumerate(shares)
    ]
    over = session(*fused, projected)
    assert [
        any(each["fault"] for each in ask(over, name, "r", "r"))
        for name in ("fuse-lost-update", "fused-twice")
    ] == [lost, twice]


@pytest.mark.parametrize(("dtype", "told"), [("F32", [("info", "possible")]), ("F16", []), (None, [])])
def test_arrays_of_no_live_model_from_between_are_told_and_no_cast_of_them(
    dtype: str | None, told: list[tuple[str, str]]
) -> None:
    file = [row("tensors", digest=d, dtype=dtype) for d in MIDWAY.values()]
    over = session(saved(MIDWAY, updates=None, model=None), file)
    assert [
        (r["severity"], r["confidence"])
        for r in ask(over, "saved-before-last-update", "r", "r")
        if r["fault"]
    ] == told
    assert (
        ask(over, "saved-untrained", "r", "r")[0]["observed"]
        == "0 of 2 trained tensors in f0.safetensors are as before the first update"
    )


def test_what_a_file_lacks_is_mended_where_it_is_written() -> None:
    over = session(saved({"q.lora_b": "b1"}), load(matched=1, unexpected=0, absent=1))
    found = diagnose.judge(over, library.load(), "r@loaded", "r@end", "r").findings
    assert [each.where for each in found if each.id == "adapter-incomplete"] == ["train.py:7"]


def test_an_adapter_that_is_fused_with_another_scale_is_a_scale_and_no_second_fusing() -> None:
    layer = row(
        "modules", capture="r@end", module="q", canonical="q", kind="adapter", rank=8, scale=6.0, adapters=1
    )
    said = row(
        "adapters", run="r", origin="declared", via="saved-config", kind="lora", scale=20.0, strength="strong"
    )
    pair = {
        "capture_adapter": "r@end",
        "capture_fused": "r@loaded:m1",
        "module": "q",
        "k": 20 / 6,
        "intended_l2": 1.0,
    }
    fused = state("loaded", "m1", trained=False, names=("w",), base="fused")
    over = session(
        saved(TRAINED), fused, layer, said, row("fusions", **pair, realised_l2=20 / 6, quantized=False)
    )
    first = diagnose.judge(over, library.load(), "r@loaded", "r@end", "r").findings[0]
    assert first.id == "lora-scale-mismatch" and "fused-twice" in first.explains


def test_the_best_of_several_checkpoints_is_told_and_no_error() -> None:
    early = session(saved(MIDWAY, updates=5), [step(n, outside_forwards=n % 4) for n in range(1, 9)])
    assert [
        each["severity"] for each in ask(early, "saved-before-last-update", "r", "r") if each["fault"]
    ] == ["info"]


def test_an_adapter_that_lies_on_its_own_fused_weight_counts_twice() -> None:
    generator = np.random.default_rng(0)
    a, b = (generator.standard_normal(shape, dtype=np.float32) for shape in ((4, 2), (2, 3)))
    base = generator.standard_normal((3, 4), dtype=np.float32)
    values = {"w0": base, "w1": base + 2.0 * (a @ b).T, "a": a, "b": b}
    named_ = {"q.linear.weight": "base", "q.lora_a": "lora_a", "q.lora_b": "lora_b"}

    def placements(weight: str, digests: tuple[str, ...]) -> list[dict[str, Any]]:
        return [
            {
                "name": n,
                "canonical": n.replace(".linear", ""),
                "module": "q",
                "leaf": n.rpartition(".")[2],
                "role": role,
                "digest": digest,
            }
            for (n, role), digest in zip(named_.items(), (weight, *digests), strict=True)
        ]

    captures = {
        "x": placements("w0", ("a", "b")),
        "fused": placements("w1", ("a", "b")),
        "plain": placements("w0", ("a", "b")),
    }
    modules: list[dict[str, Any]] = [{"module": "q", "canonical": "q", "rank": 2, "scale": 2.0}]

    def value(capture: str, name: str) -> Any:
        return values[next(p["digest"] for p in captures[capture] if p["name"] == name)]

    assert [round(float(str(each["k"])), 3) for each in fusions("x", "fused", captures, modules, value)] == [
        2.0
    ]
    assert list(fusions("x", "plain", captures, modules, value)) == []


@pytest.mark.parametrize(("overwritten", "fault"), [(False, True), (None, True), (True, False)])
def test_a_file_that_was_written_again_does_not_say_that_its_first_save_failed(
    overwritten: bool | None, fault: bool
) -> None:
    rows = saved(TRAINED)
    first, second = (columns for table, columns in rows if table == "saved_tensors")
    first["digest_on_disk"] = None
    first["overwritten"] = second["overwritten"] = overwritten
    assert (named(rows) == ["save-failed"]) is fault


@pytest.mark.parametrize(
    ("key", "loaded", "fault"),
    [("fine_tune_type", False, True), ("peft_type", False, False), ("fine_tune_type", True, False)],
)
def test_names_of_another_library_beside_a_configuration_of_this_one(
    key: str, loaded: bool, fault: bool
) -> None:
    file = capture("saved", source="file")
    tensors = {"q.lora_A.weight": "ta", "q.lora_B.weight": "tb"}
    placed = [
        each
        for name, digest in tensors.items()
        for each in parameter(file[1]["capture"], name, digest, role="lora_a" if "A" in name else "lora_b")
    ]
    told = row("configs", capture=file[1]["capture"], kind="adapter", key=key, value='"lora"')
    load = event(
        "load",
        60,
        detail={"what": "adapter", "via": "load_adapters", "names": 2, "matched": 2, "unexpected": 0},
    )
    made = [file, *placed, told, *saved(tensors, model=None), *([load] if loaded else [])]
    rows = ask(session(*made), "adapter-not-loaded", "r@loaded", "r@end")
    assert any(each["fault"] for each in rows) is fault
