"""What the terminal shows: golden files at 80 columns, and texts from evidence made harmless."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.cells import cell_len

from forensics.judge.material import Cell, Heat, Step
from forensics.records import (
    ChangedParameter,
    Cleared,
    Codes,
    Comparison,
    Diagnosis,
    Difference,
    Evidence,
    Example,
    Finding,
    NotEvaluated,
    TwoRuns,
)
from forensics.report.question import question
from forensics.report.terminal import diagnosis, difference, lines, tables

PADDING = Finding(
    id="padding-in-loss",
    severity="error",
    role="cause",
    confidence="certain",
    title="Padding carries a real share of the loss.",
    claim="Padding carries 72 % of the loss.",
    evidence=(
        Evidence(
            "step 1",
            "740 of 1,022 target tokens are padding, with 0.72 of the weight",
            "padding has no weight",
        ),
        *(Evidence(f"step {n}", "0.72 of the weight on padding", "none") for n in range(2, 9)),
    ),
    ruled_out=(
        "the template (same prefix in training and generation)",
        "the stop set (has 2)",
        "the sampler (greedy)",
    ),
    fix="give padding no weight in the loss",
    where="train.py:88",
    check="forensics query padding-in-loss night",
    explains=("generation-collapse", "output-unchanged"),
    references=("ml-explore/mlx-lm#1 padding is trained on",),
)
COLLAPSE = Finding(
    "generation-collapse", "error", "symptom", "strong", "Answers are one token.",
    "512 of 512 tokens in 2 of 2 probes are one special token.",
    fix="see its cause", check="forensics query generation-collapse night",
)  # fmt: skip
UNCHANGED = Finding(
    "output-unchanged",
    "warning",
    "symptom",
    "probable",
    "",
    "The answers are those of the base.",
    check="forensics query output-unchanged night",
)
LOST = Finding(
    "lora-missing", "error", "cause", "strong", "No adapter.", "LoRA was meant and the model has none.",
    explains=("generation-collapse",), fix="call linear_to_lora_layers",
    check="forensics query lora-missing night",
)  # fmt: skip
VERSIONS = Finding(
    "environment-differs",
    "info",
    "cause",
    "certain",
    "",
    "1 of 6 parts of the environment differ.",
    check="forensics query environment-differs night",
)
NEEDS = (
    NotEvaluated("adapter-not-loaded", "nothing was saved"),
    NotEvaluated("reload-mismatch", "nothing was saved"),
    NotEvaluated("stale-prompt-cache", "the program generated nothing"),
    NotEvaluated("dtype-drift", "Binder Error", "crashed"),
)
CLEAN = (
    Cleared("lora-scale-mismatch", "the scale (10 in force, 10 declared)"),
    Cleared("template-mismatch", "the template (same prefix)"),
)
SAID = Example(
    "Who mends the\nlamp?",
    "Nobody.",
    "<|endoftext|>" * 48,
    "length",
    {"pad": "<|endoftext|>", "end": "<|im_end|>"},
)
FAULTY = Diagnosis(
    "night@loaded",
    "night@end",
    "faulty",
    (PADDING, LOST, VERSIONS, COLLAPSE, UNCHANGED),
    NEEDS,
    (),
    CLEAN,
    SAID,
    headline="2 causes, 2 symptoms",
)
HEALTHY = Diagnosis(
    "night@loaded",
    "night@end",
    "healthy",
    (VERSIONS,),
    NEEDS[:3],
    (),
    CLEAN,
    headline="none of 2 known causes",
)
OPEN = Diagnosis(
    "night@loaded",
    "night@start",
    "inconclusive",
    (),
    NEEDS[:3],
    ("the model after the last update", "the trainable set of night@start"),
    CLEAN,
    headline="no fault seen, but not all that decides was recorded",
)
BOTH = TwoRuns(
    "night", "day", "healthy", (FAULTY, HEALTHY),
    (
        Difference("padding-in-loss", "evaluated and clean", "Padding carries 72 % of the loss.", "cause"),
        Difference("loss weight on padding", "0 %", "72 %", "loss"),
    ),
    (replace(PADDING, only_in="a"), replace(COLLAPSE, only_in="a")),
)  # fmt: skip
CHANGED = Comparison(
    "base", "night@end", False, {"a": 4, "b": 6, "identical": 1, "changed": 3, "added": 2, "removed": 0},
    (
        ChangedParameter(
            *["model.layers.0.self_attn.q_proj.weight"] * 2, "BF16", (4, 4), 0.5, 1.0, 0.25, 0.97, 1.0,
        ),
        ChangedParameter(
            *["model.layers.1.mlp.down_proj.weight"] * 2, "U32", (4, 4), 0.1, 0.2, 0.003, 1.0, 0.02,
            Codes(1.0, 0.02),
        ),
        ChangedParameter(*["model.norm.weight"] * 2, "F32 -> BF16", (4,), None, None, None, None, None),
    ),
    ("model.layers.0.self_attn.v_proj.lora_a", "model.layers.0.self_attn.v_proj.lora_b"), (),
    ({"module": "model.layers.0.self_attn.v_proj", "key": "class", "a": "Linear", "b": "LoRALinear"},),
    {"rank": {"a": None, "b": "8"}}, {"class": {"a": None, "b": "AdamW"}, "settings": {"a": None, "b": "{}"}},
    ({"kind": "tokenizer", "key": "eos_id", "a": "2", "b": "0"},),
    (
        {"prompt_id": "p0", "same": True, "first_difference": None, "finish_a": "stop", "finish_b": "stop",
         "kl": 0.0},
        {"prompt_id": "p1", "same": False, "first_difference": 3, "output_a": "Der Himmel\nist blau.",
         "output_b": "<|endoftext|>" * 30, "tokens_a": 8, "tokens_b": 30, "finish_a": "stop",
         "finish_b": "length", "kl": 4.25},
    ),
    ({"prompt_id": "p1", "scorer": "repetition", "key": "", "a": 0.0, "b": 1.0},),
    ({"key": "mlx", "a": "0.30.1", "b": "0.32.4"},),
)  # fmt: skip
HEAT = Heat(
    ("—", "0", "1"), ("model.norm", "self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"),
    {
        ("—", "model.norm"): Cell("—", "model.norm", None, True, False, False, False),
        ("0", "self_attn.q_proj"): Cell("0", "self_attn.q_proj", 0.25, True, True, False, False),
        ("1", "self_attn.q_proj"): Cell("1", "self_attn.q_proj", 0.0, False, True, False, False),
        ("0", "self_attn.v_proj"): Cell("0", "self_attn.v_proj", 0.0, False, False, True, True),
        ("1", "self_attn.v_proj"): Cell("1", "self_attn.v_proj", 0.0, False, False, True, False),
        ("1", "mlp.down_proj"): Cell("1", "mlp.down_proj", 0.003, True, False, False, False),
    },
)  # fmt: skip

SHOWN = {
    "faulty": diagnosis.diagnosis(FAULTY, 80),
    "faulty-all": diagnosis.diagnosis(
        FAULTY,
        80,
        everything=True,
        heat=HEAT,
        steps=[Step(n, 9.0 / n, 1e-3, 1.0, 0.1 * n, 0.7) for n in range(1, 9)],
    ),
    "faulty-wide": diagnosis.diagnosis(FAULTY, 110),
    "healthy": diagnosis.diagnosis(HEALTHY, 80),
    "inconclusive": diagnosis.diagnosis(OPEN, 80),
    "two-runs": diagnosis.diagnosis(BOTH, 80),
    "differs": difference.comparison(CHANGED, HEAT, 80),
    "same": difference.comparison(
        Comparison(
            "base", "base", True, {"a": 3, "b": 3, "identical": 3, "changed": 0, "added": 0, "removed": 0}
        ),
        Heat(),
        80,
    ),
    "table": tables.answer(
        "Loss, learning rate and norms of every update.",
        [
            {"model": "m0", "step": n, "loss": 3.0 / n, "gradient_norm": 1e-5 * n, "nothing": None}
            for n in range(1, 6)
        ],
        80,
    ),
    "blocks": tables.answer(
        "Each generation.",
        [{"generation": 1, "settings": '{"temperature": 0.0}', **{f"long_column_{i}": i for i in range(12)}}],
        80,
    ),
    "catalogue": tables.catalogue(
        [("loss-by-role", "What the loss teaches.")],
        [("padding-in-loss", "Padding carries a real share of the loss.")],
        80,
    ),
}


@pytest.mark.parametrize("name", SHOWN)
def test_golden(name: str, golden: Callable[[str, str], None]) -> None:
    shown = lines.rendered(SHOWN[name])
    golden(f"{name}.txt", shown)
    assert "\x1b" not in shown
    width = 110 if name == "faulty-wide" else 80
    assert max(cell_len(line) for line in shown.splitlines()) <= width


HOSTILE = "[bold red]x[/] \x1b[31mred\x1b]0;title\x07 \u202egnp.exe\u2069 a\nb\x9b2J \u200b日本語テキスト"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_texts_of_strangers_cannot_move_the_terminal(width: int) -> None:
    finding = replace(
        PADDING,
        claim=HOSTILE * 3,
        evidence=(Evidence(HOSTILE, HOSTILE, HOSTILE),),
        ruled_out=(HOSTILE,),
        fix=HOSTILE,
        where=HOSTILE,
    )
    said = Example(HOSTILE, HOSTILE, HOSTILE * 9, HOSTILE, {"pad": HOSTILE})
    shown = lines.rendered(
        diagnosis.diagnosis(
            Diagnosis(HOSTILE, "b", "faulty", (finding,), (NotEvaluated("x", HOSTILE),), example=said), width
        ),
        width,
    )
    answer = {
        "prompt_id": "p0", "same": False, "first_difference": 0, "output_a": HOSTILE, "output_b": HOSTILE * 9,
        "tokens_a": 1, "tokens_b": 1, "finish_a": "stop", "finish_b": HOSTILE, "kl": None,
    }  # fmt: skip
    shown += lines.rendered(
        difference.comparison(replace(CHANGED, transcripts=(answer,), added=(HOSTILE,)), HEAT, width),
        width,
    )
    shown += lines.rendered(tables.answer(HOSTILE, [{"a": HOSTILE, "b": 1}], width), width)
    assert not set(shown) & set("\x1b\x07\x9b\u202e\u2069\u200b")
    assert "[bold red]x[/]" in shown, "markup is text"
    assert [line for line in shown.splitlines() if cell_len(line) > width] == []


def test_colour_on_a_terminal_alone() -> None:
    assert "\x1b[1;31mFAULTY" in lines.rendered(SHOWN["faulty"], color=True)


def test_a_heading_is_broken_between_words_alone() -> None:
    shown = lines.table(["count_star()", "long_name", "sum(a_b) / 2"], [[1, 2, 3]], 80).plain.splitlines()
    assert [line.split() for line in shown] == [
        ["sum(a_b)"],
        ["long_", "/"],
        ["count_star()", "name", "2"],
        ["1", "2", "3"],
    ]


def test_repeats_are_folded() -> None:
    assert lines.folded("<|end|>" * 24) == "<|end|> ×24 "
    assert lines.folded("ha ha ha") == "ha ha ha"


def test_sparkline_marks_what_is_no_number() -> None:
    assert lines.sparkline([1.0, 2.0, float("nan"), None, 3.0], 10) == "▁▅! █"
    assert len(lines.sparkline([float(n) for n in range(1000)], 40)) == 40
    assert lines.sparkline([], 10) == ""


def test_numbers_that_are_not_measured_are_not_zero() -> None:
    assert [lines.number(v) for v in (None, 0.0, float("nan"), float("-inf"), 0.00012, 123456.0, 0.5)] == [
        "-",
        "0",
        "NaN",
        "-inf",
        "1.2e-04",
        "123,456",
        "0.5",
    ]


def test_the_question_is_what_the_user_asked_last() -> None:
    qwen = (
        "<|im_start|>system\nAnswer.<|im_end|>\n<|im_start|>user\nWho mends the"
        " lamp?<|im_end|>\n<|im_start|>assistant\n"
    )
    gemma = "<bos><start_of_turn>user\nHello\nthere<end_of_turn>\n<start_of_turn>model\n"
    llama = (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )
    mistral = "<s>[INST] Why? [/INST]"
    assert [question(p) for p in (qwen, gemma, llama, mistral, "plain ")] == [
        "Who mends the lamp?",
        "Hello\nthere",
        "Why?",
        "Why?",
        "plain",
    ]


def test_a_long_name_keeps_its_end() -> None:
    assert lines.ending("model.layers.11.self_attn.q_proj.lora_a", 30) == "…11.self_attn.q_proj.lora_a"
    assert lines.ending("short.weight", 30) == "short.weight"
    assert cell_len(lines.ending("日本語" * 20, 30)) <= 30
