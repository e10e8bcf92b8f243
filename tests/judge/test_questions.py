"""Questions of queries/ask.

Each answers over an empty session, and those with something to get wrong over hand-made rows.
"""

from __future__ import annotations

import pytest

from forensics.judge import library
from forensics.store.session import Session
from tests.support.evidence import ask, capture, delta, evidence, loss_token, parameter, row, run, step

QUESTIONS = library.load().questions


@pytest.fixture(scope="module")
def bare() -> Session:
    return evidence(run(), capture("loaded"), capture("end"))


@pytest.mark.parametrize("query", QUESTIONS, ids=lambda query: query.name)
def test_question_of_nothing_gives_no_row_or_what_is_known(query: library.Query, bare: Session) -> None:
    rows = ask(bare, query.name, *["r@loaded", "r@end"][: query.refs])
    assert isinstance(rows, list)
    assert query.header.get("example", "").startswith(f"forensics query {query.name}")


def test_first_change_is_where_a_digest_first_differs() -> None:
    points = ["start", "step-2", "step-4", "end"]
    digests = {"w": ["d0", "d0", "d1", "d2"], "v": ["e0", "e1", "e1", "e1"], "still": ["f"] * 4}
    made = [capture(point, updates=2 * n) for n, point in enumerate(points)]
    for name, values in digests.items():
        for point, digest in zip(points, values, strict=True):
            made += parameter(point, name, digest, nans=3 if digest == "d2" else 0)
    rows = ask(evidence(run(), made), "first-change", "r")
    assert [tuple(r.values()) for r in rows] == [("v", "step-2", 2, None), ("w", "step-4", 4, "end")]


def test_parameter_diff_says_what_is_identical() -> None:
    session = evidence(
        run(), capture("loaded"), capture("end"),
        parameter("loaded", "w", "d0"), parameter("end", "w", "d1"), delta("d0", "d1", relative=0.5),
        parameter("loaded", "v", "e"), parameter("end", "v", "e"),
        parameter("end", "q.lora_a", "f", role="lora_a"),
    )  # fmt: skip
    rows = session.rows("SELECT name, relative FROM parameter_diff('r@loaded', 'r') WHERE NOT identical")
    assert [tuple(r.values()) for r in rows] == [("q.lora_a", None), ("w", 0.5)]


def test_loss_tokens_are_those_of_the_steps_asked_for() -> None:
    session = evidence(run(), capture("end"), [loss_token(n, 0, 1.0) for n in (1, 2, 16)])
    assert [r["step"] for r in ask(session, "loss-tokens", "r")] == [1]
    assert [r["step"] for r in ask(session, "loss-tokens", "r", first_step=2, last_step=16)] == [2, 16]


def test_trainable_set_counts_what_moved_since_start() -> None:
    session = evidence(
        run(), capture("loaded"), capture("start"), capture("end"),
        parameter("loaded", "w", "d"), parameter("start", "w", "d", trainable=False),
        parameter("end", "w", "d", trainable=False),
        parameter("start", "q.lora_a", "a0", role="lora_a", trainable=True),
        parameter("end", "q.lora_a", "a1", role="lora_a", trainable=True),
        parameter("start", "q.lora_b", "b0", role="lora_b", trainable=True),
        parameter("end", "q.lora_b", "b0", role="lora_b", trainable=True),
    )  # fmt: skip
    rows = ask(session, "trainable-set", "r")
    assert [(r["role"], r["trainable"], r["tensors"], r["moved"]) for r in rows] == [
        ("base", False, 1, 0), ("lora_a", True, 1, 1), ("lora_b", True, 1, 0)
    ]  # fmt: skip


def test_run_differences_are_settings_and_facts() -> None:
    session = evidence(
        run(), run("s", updates=4), capture("end"), capture("end", "s"),
        step(1, weight_pad=0.7), step(1, run="s", weight_pad=0.0),
        row("adapters", run="r", origin="declared", strength="strong", kind="lora", rank=8),
        row("adapters", run="s", origin="declared", strength="strong", kind="lora", rank=4),
        row("events", run="r", kind="train", detail={"declared": {"iters": 100, "batch_size": 4}}),
        row("events", run="s", kind="train", detail={"declared": {"iters": 50, "batch_size": 4}}),
    )  # fmt: skip
    said = {r["subject"]: (r["in_a"], r["in_b"]) for r in ask(session, "run-differences", "r", "s")}
    assert said == {
        "adapter declared: rank": ("8", "4"), "loss weight on all padding": ("70 %", "0 %"),
        "updates": ("8", "4"), "train: iters": ("100", "50"),
    }  # fmt: skip


def test_saved_files_tell_what_still_lies_there() -> None:
    file = {"run": "r", "save": 0, "file": "a.safetensors", "model": "m0", "updates": 8}
    tensors = (("x", "x"), ("y", "z"), ("w", None))
    saved = [row("saved_tensors", **file, name=n, digest=n, digest_on_disk=d) for n, d in tensors]
    found = ask(evidence(run(), capture("end"), saved), "saved-files", "r")[0]
    assert (found["tensors"], found["as_written"], found["other"]) == (3, 1, 2)


def test_what_is_missing_lists_gaps_and_unreadable_parameters() -> None:
    session = evidence(
        run(missing=[{"what": "end", "why": "killed"}]), capture("start", missing=[]),
        capture("end", missing=[]), parameter("end", "w", None, error="a placeholder"),
    )  # fmt: skip
    assert [(r["what"], r["why"]) for r in ask(session, "what-is-missing", "r")] == [
        ("end", "killed"),
        ("w", "a placeholder"),
    ]
