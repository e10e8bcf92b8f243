"""Two captures side by side: pairs, numbers, quantized weights by value and by code, what is not measured."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from forensics.judge import compare, deltas, picture
from forensics.report.terminal import difference
from forensics.store.session import Session
from forensics.tensors import digest
from tests.support.bytes import Bytes
from tests.support.evidence import capture, delta, evidence, parameter, probe, row, run


def compared(session: Session, a: str = "r@loaded", b: str = "r@end") -> dict[str, Any]:
    deltas.fill(session, a, b)
    document = compare.document(compare.compare(session, a, b))
    return dict(json.loads(json.dumps(document, allow_nan=False)))


def test_counts_and_names() -> None:
    session = evidence(
        run(), capture("loaded"), capture("end"),
        parameter("loaded", "q.weight", "d0"),
        parameter("end", "q.linear.weight", "d0", canonical="q.weight"),
        parameter("loaded", "k.weight", "d1"), parameter("end", "k.weight", "d2"),
        delta("d1", "d2", relative=0.5, max_abs=float("inf")),
        parameter("loaded", "v.weight", "d3"), parameter("end", "v.weight", "d4"),
        parameter("loaded", "old.weight", "d5"), parameter("end", "q.lora_a", "d6", role="lora_a"),
    )  # fmt: skip
    document = compared(session)
    assert document["parameters"] == {"a": 4, "b": 4, "identical": 1, "changed": 2, "added": 1, "removed": 1}
    assert (
        document["added"] == ["q.lora_a"]
        and document["removed"] == ["old.weight"]
        and document["same"] is False
    )
    by_name = {row["name"]: row for row in document["changed"]}
    assert by_name["k.weight"]["relative"] == 0.5 and by_name["k.weight"]["max_abs"] == "Infinity"
    assert by_name["k.weight"]["shape"] == [4, 4] and by_name["k.weight"]["dtype"] == "F32"
    unmeasured = [by_name["v.weight"][k] for k in ("max_abs", "l2", "relative", "cosine", "changed_fraction")]
    assert unmeasured == [None] * 5, "what was not measured is null, never 0"


def test_equal_captures_are_the_same() -> None:
    session = evidence(
        run(), capture("loaded"), capture("end"), parameter("loaded", "w", "d"), parameter("end", "w", "d")
    )
    document = compared(session)
    assert document["same"] is True and document["changed"] == []
    assert list(document) == [
        "schema", "a", "b", "same", "parameters", "changed", "added", "removed", "modules", "adapter",
        "optimizer", "configs", "transcripts", "scores", "environment", "fusion",
    ]  # fmt: skip


def test_differences_are_measured_where_the_bytes_are(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Bytes()
    a = kept.add(np.ones((2, 2), np.float32), "F32")
    b = kept.add(np.array([[1, 1], [1, 2]], np.float32), "F32")
    session = evidence(
        run(), capture("loaded"), capture("end"), parameter("loaded", "w", a), parameter("end", "w", b)
    )
    changed = compared(kept.behind(session, monkeypatch))["changed"][0]
    assert (changed["max_abs"], changed["relative"], changed["changed_fraction"]) == (1.0, 0.5, 0.25)
    assert math.isclose(changed["cosine"], 5 / (2 * math.sqrt(7)))
    assert deltas.fill(session, "r@loaded", "r@end") == [], "measured once"


def test_quantized_weights_by_value_and_by_code(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Bytes()
    codes = kept.add(np.full((1, 8), 0x11111111, np.uint32), "U32")
    moved = kept.add(np.full((1, 8), 0x22222222, np.uint32), "U32")
    scales, twice, biases = (kept.add(np.full((1, 1), x, np.float32), "F32") for x in (1.0, 2.0, 0.0))
    values = [
        digest.value_digest("affine", 4, 64, w, s, biases)
        for w, s in ((codes, scales), (codes, twice), (moved, twice))
    ]
    made = []
    for point, weight, scale, value in zip(
        ("loaded", "start", "end"), (codes, codes, moved), (scales, twice, twice), values, strict=True
    ):
        made += parameter(point, "q.weight", weight, value_digest=value, dtype="U32", packing="affine:4:64")
        made += parameter(point, "q.scales", scale, role="scales") + parameter(
            point, "q.biases", biases, role="biases"
        )
    session = kept.behind(
        evidence(run(), capture("loaded"), capture("start"), capture("end"), made), monkeypatch
    )
    scaled = {r["name"]: r for r in compared(session, b="r@start")["changed"]}
    assert scaled["q.weight"]["max_abs"] == 1.0, "every value doubled, from 1 to 2"
    assert scaled["q.weight"]["codes"] == {"max_abs": 0.0, "changed_fraction": 0.0}
    assert scaled["q.scales"]["max_abs"] == 1.0 and "codes" not in scaled["q.scales"]
    both = {r["name"]: r for r in compared(session)["changed"]}
    assert both["q.weight"]["max_abs"] == 3.0, "from code 1 by 1 to code 2 by 2"
    assert both["q.weight"]["codes"] == {
        "max_abs": 1.0,
        "changed_fraction": 1.0,
    }, "of codes, not of the words that hold them"


def test_parts_are_compared_where_both_sides_have_them() -> None:
    session = evidence(
        run(), capture("loaded"), capture("end"), parameter("loaded", "w", "d"), parameter("end", "w", "d"),
        row("modules", capture="r@loaded", module="q", canonical="q", **{"class": "Linear"}),
        row("modules", capture="r@end", module="q", canonical="q", scale=20.0, rank=8,
            **{"class": "LoRALinear"}),
        row("modules", capture="r@end", module="q.linear", canonical="q", **{"class": "Linear"}),
        row("optimizers", capture="r@end", optimizer="o0", step=8, **{"class": "AdamW"}),
        row("configs", capture="r@loaded", kind="model", key="rope", value="1"),
        row("configs", capture="r@end", kind="model", key="rope", value="2"),
        row("configs", capture="r@end", kind="generation", key="top_p", value="0.5"),
        probe("loaded", output="blue", output_digest="x"), probe("end", output="red", output_digest="y"),
        row("probe_deltas", capture_a="r@loaded", capture_b="r@end", prompt_id="p0", first_difference=0,
            kl=float("nan")),
        row("scores", capture="r@loaded", prompt_id="p0", scorer="length", value=4.0),
        row("scores", capture="r@end", prompt_id="p0", scorer="length", value=3.0),
        row("environment", capture="r", key="mlx", value="0.32.4"),
    )  # fmt: skip
    document = compared(session)
    assert {"module": "q", "key": "class", "a": "Linear", "b": "LoRALinear"} in document["modules"]
    assert {row["module"] for row in document["modules"]} == {"q"}, (
        "what an adapter wraps is not a new module"
    )
    assert document["optimizer"]["class"] == {"a": None, "b": "AdamW"}
    assert document["configs"] == [{"kind": "model", "key": "rope", "a": "1", "b": "2"}], (
        "generation settings were captured once"
    )
    answer = document["transcripts"][0]
    assert (answer["same"], answer["output_a"], answer["output_b"], answer["kl"]) == (
        False,
        "blue",
        "red",
        "NaN",
    )
    assert document["scores"] == [{"prompt_id": "p0", "scorer": "length", "key": None, "a": 4.0, "b": 3.0}]
    assert document["environment"] == [] and document["same"] is False


CONFIG = {
    "vocab_size": "384",
    "bos_id": "null",
    "unk_id": "0",
    "class": '"Qwen2Tokenizer"',
    "frame.tail": "[2]",
}
LOADED = [
    *run(), capture("loaded"), *parameter("loaded", "q.weight", "d"),
    row("modules", capture="r@loaded", module="q", canonical="q", training=True, adapters=0, scale=0.5,
        **{"class": "Linear"}),
    row("modules", capture="r@loaded", module="rope", canonical="rope", training=True, adapters=0,
        **{"class": "RoPE"}),
    row("optimizers", capture="r@loaded", optimizer="o0", step=8, **{"class": "AdamW"}),
    *(row("configs", capture="r@loaded", kind="tokenizer", key=key, value=value)
      for key, value in CONFIG.items()),
    row("environment", capture="r", key="device", value="gpu"),
    row("environment", capture="r", key="mlx", value="1"),
]  # fmt: skip
"""What a live model says of itself."""


def file(config: dict[str, str]) -> list[Any]:
    """The same model as its files say it."""
    return [
        *run("f", kind="rest"), capture("rest", "f"), *parameter("rest", "q.weight", "d", run="f"),
        row("modules", capture="f@rest", module="q", canonical="q", adapters=0),
        *(row("configs", capture="f@rest", kind="tokenizer", key=key, value=value)
          for key, value in config.items()),
        row("environment", capture="f", key="mlx", value="1"),
    ]  # fmt: skip


def test_what_files_never_say_is_no_difference_from_a_live_model() -> None:
    session = evidence(LOADED, file({"vocab_size": "384", "bos_id": "null", "unk_id": "null"}))
    for a, b in (("r@loaded", "f@rest"), ("f@rest", "r@loaded")):
        document = compared(session, a, b)
        assert document["same"] is True and document["environment"] == [], document
        assert (document["modules"], document["configs"], document["optimizer"]) == ([], [], {}), document


def test_what_both_a_file_and_a_live_model_say_is_compared() -> None:
    found = compared(
        evidence(LOADED, file({"vocab_size": "385", "added_tokens.<|new|>": "384"})), "f@rest", "r@loaded"
    )
    assert {row["key"]: (row["a"], row["b"]) for row in found["configs"]} == {
        "vocab_size": ("385", "384"),
        "added_tokens.<|new|>": ("384", None),
    }
    adapted = [row("modules", capture="f@rest", module="k", canonical="k", rank=8, adapters=1)]
    live = [row("modules", capture="r@loaded", module="k", canonical="k", adapters=0, **{"class": "Linear"})]
    modules = compared(evidence(LOADED, live, file({}), adapted), "r@loaded", "f@rest")["modules"]
    assert modules == [
        {"module": "k", "key": "adapters", "a": "0", "b": "1"},
        {"module": "k", "key": "rank", "a": None, "b": "8"},
    ]


def test_a_setting_that_only_one_of_two_files_has_is_a_difference() -> None:
    other = [capture("rest", "g"), *parameter("rest", "q.weight", "d", run="g")]
    other += [row("configs", capture="g@rest", kind="tokenizer", key="vocab_size", value="384")]
    found = compared(evidence(file({"vocab_size": "384", "unk_id": "0"}), other), "f@rest", "g@rest")
    assert (
        found["configs"] == [{"kind": "tokenizer", "key": "unk_id", "a": "0", "b": None}]
        and found["same"] is False
    )


def test_a_reload_has_no_optimizer_that_could_differ() -> None:
    again = [capture("reloaded"), *parameter("reloaded", "q.weight", "d")]
    assert compared(evidence(LOADED, again), b="r@reloaded")["optimizer"] == {}


def test_added_weights_are_drawn_as_added_and_not_as_unmeasured() -> None:
    session = evidence(
        run(), capture("saved"), capture("reloaded"), parameter("saved", "q.lora_a", "d0", role="lora_a"),
        parameter("reloaded", "q.lora_a", "d0", role="lora_a"), parameter("reloaded", "q.weight", "d1"),
    )  # fmt: skip
    for a, b, sign in (("r@saved", "r@reloaded", "+ added"), ("r@reloaded", "r@saved", "- removed")):
        shown = difference.comparison(compare.compare(session, a, b), picture.heat(session, a, b), 80).plain
        assert sign in shown and "not measured" not in shown, shown
