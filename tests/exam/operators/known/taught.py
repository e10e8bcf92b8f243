"""Faults of masks, targets and losses."""

from __future__ import annotations

from typing import Any

from tests.exam import proofs
from tests.exam.operators import Edit, Operator, Proof, all_of, edits, first_of, swaps
from tests.exam.operators.known.styles import (
    INPUTS,
    JOINED,
    WEIGHTS,
    begins,
    encoded,
    mask,
    mean_of_all,
    targets,
    weights,
)


def much(kind: str, least: float) -> Proof:
    return lambda faulty, twin: proofs.share(faulty, kind) > least > proofs.share(twin, kind)


def none_of(kind: str) -> Proof:
    return lambda faulty, twin: (
        proofs.weight(faulty) > 0 and proofs.share(faulty, kind) == 0 < proofs.share(twin, kind)
    )


def otherwise(faulty: dict[str, Any], twin: dict[str, Any]) -> bool:
    return bool(faulty["teaches"] != twin["teaches"])


TABLE: list[tuple[str, Edit, Proof, dict[str, Any]]] = [
    (
        "padding-in-loss/mask-of-ones",
        mask("1.0", "x_mask[x_row] = 1.0", "(x_places >= 0) & (x_lengths > 0)"),
        much("pad", 0.05),
        {},
    ),
    (
        "padding-in-loss/mask-never-ends",
        mask("float(x_start <= i)", "x_mask[x_row, x_start:] = 1.0", "(x_places >= x_starts)"),
        much("pad", 0.05),
        {},
    ),
    ("padding-in-loss/mean-without-mask", mean_of_all(), much("pad", 0.05), {}),
    ("mask-off-by-one/mask-of-inputs", weights("x_mask[:, :-1]", "x_mask[:, :-1]"), otherwise, {}),
    (
        "mask-off-by-one/starts-late-ends-late",
        mask(
            "float(x_start < i <= len(x_ids))",
            "x_mask[x_row, x_start + 1 : len(x_ids) + 1] = 1.0",
            "(x_places > x_starts) & (x_places <= x_lengths)",
        ),
        otherwise,
        {},
    ),
    (
        "labels-not-shifted/targets-are-inputs",
        targets("x_ids[:, :-1]", "x_mask[:, :-1]"),
        much("same", 0.9),
        {},
    ),
    (
        "end-never-trained/mask-ends-before-it",
        mask(
            "float(x_start <= i < len(x_ids) - 2)",
            "x_mask[x_row, x_start : len(x_ids) - 2] = 1.0",
            "(x_places >= x_starts) & (x_places < x_lengths - 2)",
        ),
        none_of("end"),
        {},
    ),
    ("end-never-trained/rows-without-it", encoded("x_ids[:-2]"), none_of("end"), {}),
    (
        "end-never-trained/masked-as-special",
        weights("x_mask[:, 1:] * (x_ids[:, 1:] > 3)", "x_mask[:, 1:] * (x_targets > 3)"),
        none_of("end"),
        {},
    ),
    (
        "answers-truncated/cut-while-encoding",
        encoded("x_ids[:20]"),
        none_of("end"),
        {"bars": ("system",), "also": ("end-never-trained",)},
    ),
    (
        "prompt-in-loss/offset-without-template",
        begins("len(x_tk.encode(x_question))", "len(x_tk.encode(x_messages[-2]['content']))"),
        much("prompt", 0.05),
        {},
    ),
    (
        "prompt-in-loss/offset-of-words",
        begins("len(x_prompt.split())", "len(' '.join(x_m['content'] for x_m in x_messages[:-1]).split())"),
        much("prompt", 0.05),
        {},
    ),
    (
        "all-tokens-masked/offset-counts-characters",
        begins("len(x_prompt)", "40 + sum(len(x_m['content']) for x_m in x_messages)"),
        lambda faulty, twin: proofs.weight(faulty) == 0,
        {"also": ("weights-not-finite",)},
    ),
    (
        "targets-unrelated/labels-shuffled-apart",
        targets("x_ids[::-1, 1:]", "x_mask[::-1, 1:]"),
        lambda faulty, twin: proofs.share(faulty, "next") < 0.7 < proofs.share(twin, "next"),
        {},
    ),
    (
        "answers-partly-masked/first-eight-only",
        mask(
            "float(x_start <= i < min(len(x_ids), x_start + 5) or i == len(x_ids) - 2)",
            "x_mask[x_row, x_start : x_start + 5] = 1.0\n            x_mask[x_row, len(x_ids) - 2] = 1.0",
            "((x_places >= x_starts) & (x_places < x_starts + 5)) | (x_places == x_lengths - 2)",
        ),
        lambda faulty, twin: (
            proofs.weight(faulty) > 0
            and len(list(proofs.positions(faulty))) < 0.8 * len(list(proofs.positions(twin)))
        ),
        {"mild": True},
    ),
]
"""(name, edit, proof, more) of the faults that are one change in each style."""

OF_BOTH = "for i in range(x_width)] for x_ids, x_start in x_both]"


def pads_weighed(facts):
    """Is anything learned where a pad follows a pad?"""
    return any(
        high > 1e-6 and one == after == proofs.PAD
        for forward in proofs.forwards(facts)
        for row, highest in zip(forward["inputs"], forward["highest"], strict=True)
        for one, after, high in zip(row, row[1:], highest, strict=False)
    )


OPERATORS = [
    *(Operator(name, edit, proof, needs=("weights",), **more) for name, edit, proof, more in TABLE),
    Operator(
        "padding-in-loss/wrong-pad-id",
        first_of(
            swaps(
                "loss",
                r"x_targets, x_weights = x_ids\[:, 1:\], x_mask\[:, 1:\]",
                "x_targets = x_ids[:, 1:]\n    x_weights = (x_targets != -100).astype(mx.float32)",
            ),
            edits("loss", WEIGHTS, "x_weights = (x_targets != 2).astype(mx.float32)"),
        ),
        much("pad", 0.05),
        needs=("weights",),
        also=("prompt-in-loss",),
    ),
    Operator(
        "labels-not-shifted/whole-rows",
        first_of(
            all_of(
                swaps("loss", r"x_m\(x_ids\[:, :-1\]\)", "x_m(x_ids)"),
                edits(
                    "loss",
                    JOINED,
                    "x_targets, x_weights = x_ids, x_mask",
                ),
            ),
            all_of(
                edits(
                    "loss",
                    INPUTS,
                    "x_inputs = x_targets = x_ids",
                ),
                edits("loss", WEIGHTS, "x_weights = x_mask"),
            ),
        ),
        much("same", 0.9),
        needs=("weights",),
    ),
    Operator(
        "labels-shifted-twice/library-shifts-too",
        first_of(
            all_of(
                edits(
                    "loss",
                    JOINED,
                    "x_targets, x_weights = x_ids[:, 2:], x_mask[:, 2:]",
                ),
                swaps("loss", r"x_m\(x_ids\[:, :-1\]\)", "x_m(x_ids[:, :-1])[:, :-1]"),
            ),
            all_of(
                edits("loss", "x_m(x_ids)[:, :-1]", "x_m(x_ids)[:, :-2]"),
                edits(
                    "loss",
                    JOINED,
                    "x_targets, x_weights = x_ids[:, 2:], x_mask[:, 2:]",
                ),
            ),
            all_of(
                edits(
                    "loss",
                    INPUTS,
                    "x_inputs, x_targets = x_ids[:, :-2], x_ids[:, 2:]",
                ),
                edits("loss", WEIGHTS, "x_weights = x_mask[:, 2:]"),
            ),
        ),
        much("next-but-one", 0.7),
        needs=("weights",),
    ),
    Operator(
        "ignore-index-as-token/minus-100",
        first_of(
            all_of(
                edits(
                    "loss",
                    JOINED,
                    "x_targets = mx.where(x_mask[:, 1:] > 0, x_ids[:, 1:], -100)",
                ),
                first_of(
                    edits("loss", "(x_ce * x_weights).sum() / x_weights.sum()", "x_ce.mean()"),
                    edits(
                        "loss",
                        "-(x_picked * x_weights).sum() / mx.maximum(x_weights.sum(), 1)",
                        "-x_picked.mean()",
                    ),
                ),
            ),
            all_of(
                edits(
                    "loss",
                    WEIGHTS,
                    "x_targets = mx.where(x_mask[:, 1:] > 0, x_targets, -100)",
                ),
                edits("loss", "x_count = x_weights.sum()\n", ""),
                edits("loss", "(x_nll * x_weights).astype(mx.float32).sum() / x_count", "x_nll.mean()"),
            ),
        ),
        lambda faulty, twin: (
            any(target > 200 and weight > 0 for *_, target, weight in proofs.positions(faulty))
            and proofs.share(faulty, "next") < 0.6
        ),
        needs=("weights",),
    ),
    Operator(
        "preference-swapped/margin-the-wrong-way",
        first_of(
            edits("loss", "x_ratio[:x_half] - x_ratio[x_half:]", "x_ratio[x_half:] - x_ratio[:x_half]"),
            edits(
                "loss",
                "x_good, x_bad = x_mean[:x_half], x_mean[x_half:]",
                "x_bad, x_good = x_mean[:x_half], x_mean[x_half:]",
            ),
        ),
        lambda faulty, twin: faulty["teaches"] != twin["teaches"],
    ),
    Operator(
        "reference-is-policy/same-object",
        swaps("loss", r"x_ref, _ = load\(\"base\"\)\nx_ref\.freeze\(\)", "x_ref = x_model"),
        lambda faulty, twin: max(abs(loss - 0.6931) for loss in proofs.losses(faulty)) < 1e-3,
        needs=("dpo",),
        bars=("dropout",),
    ),
    Operator(
        "probabilities-as-logits/softmax-first",
        first_of(
            edits(
                "loss",
                "x_logits = x_m(x_ids[:, :-1])\n",
                "x_logits = mx.softmax(x_m(x_ids[:, :-1]), axis=-1)\n",
            ),
            edits("loss", "x_logits = x_m(x_inputs)\n", "x_logits = mx.softmax(x_m(x_inputs), axis=-1)\n"),
            edits(
                "loss",
                "x_m(x_ids)[:, :-1].astype(mx.float32)",
                "mx.softmax(x_m(x_ids)[:, :-1].astype(mx.float32), axis=-1)",
            ),
        ),
        lambda faulty, twin: min(proofs.losses(faulty)) > 4.5,
        needs=("logits",),
    ),
    *(
        Operator(
            f"mask-of-another-row/{name}",
            edit,
            lambda faulty, twin: pads_weighed(faulty) and not pads_weighed(twin),
            needs=("pairs",),
            also=("padding-in-loss",),
        )
        for name, edit in (
            (
                "made-of-the-chosen",
                edits("batching", OF_BOTH, OF_BOTH.replace("x_both", "2 * [x_good for x_good, _ in x_part]")),
            ),
            (
                "halves-crossed",
                edits(
                    "batching",
                    OF_BOTH,
                    OF_BOTH.replace("x_both", "x_both[len(x_part) :] + x_both[: len(x_part)]"),
                ),
            ),
            (
                "first-half-tiled",
                edits(
                    "loss",
                    "(x_picked * x_mask[:, 1:])",
                    "(x_picked * mx.tile(x_mask[: x_mask.shape[0] // 2, 1:], (2, 1)))",
                ),
            ),
        )
    ),
]
