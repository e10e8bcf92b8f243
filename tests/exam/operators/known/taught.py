"""Faults of rows, masks, targets and losses."""

from tests.exam import proofs
from tests.exam.operators import Operator, all_of, edits, first_of, swaps


def mask(longest, fixed, ranged):
    """The mask of each batching style, written otherwise."""
    return first_of(
        edits("batching", "float(x_start <= i < len(x_ids))", longest),
        edits("batching", "x_mask[x_row, x_start : len(x_ids)] = 1.0", fixed),
        edits("batching", "((x_places >= x_starts) & (x_places < x_lengths))", f"({ranged})"),
    )


def much(kind, least):
    return lambda faulty, twin: proofs.share(faulty, kind) > least > proofs.share(twin, kind)


def none_of(kind):
    return lambda faulty, twin: (
        proofs.weight(faulty) > 0 and proofs.share(faulty, kind) == 0 < proofs.share(twin, kind)
    )


OPERATORS = [
    Operator(
        "padding-in-loss/mask-of-ones",
        mask("1.0", "x_mask[x_row] = 1.0", "(x_places >= 0) & (x_lengths > 0)"),
        much("pad", 0.05),
        needs=("weights",),
    ),
    Operator(
        "padding-in-loss/mask-never-ends",
        mask("float(x_start <= i)", "x_mask[x_row, x_start:] = 1.0", "(x_places >= x_starts)"),
        much("pad", 0.05),
        needs=("weights",),
    ),
    Operator(
        "padding-in-loss/wrong-pad-id",
        first_of(
            swaps(
                "loss",
                r"x_targets, x_weights = x_ids\[:, 1:\], x_mask\[:, 1:\]",
                "x_targets = x_ids[:, 1:]\n    x_weights = (x_targets != -100).astype(mx.float32)",
            ),
            edits("loss", "x_weights = x_mask[:, 1:]", "x_weights = (x_targets != 2).astype(mx.float32)"),
        ),
        much("pad", 0.05),
        needs=("weights",),
        also=("prompt-in-loss",),
    ),
    Operator(
        "padding-in-loss/mean-without-mask",
        first_of(
            edits("loss", "(x_ce * x_weights).sum() / x_weights.sum()", "x_ce.mean()"),
            edits(
                "loss", "-(x_picked * x_weights).sum() / mx.maximum(x_weights.sum(), 1)", "-x_picked.mean()"
            ),
            edits("loss", "(x_nll * x_weights).astype(mx.float32).sum() / x_count", "x_nll.mean()"),
        ),
        much("pad", 0.05),
        needs=("weights",),
    ),
    Operator(
        "mask-off-by-one/mask-of-inputs",
        first_of(
            edits("loss", "x_ids[:, 1:], x_mask[:, 1:]", "x_ids[:, 1:], x_mask[:, :-1]"),
            edits("loss", "x_weights = x_mask[:, 1:]", "x_weights = x_mask[:, :-1]"),
        ),
        lambda faulty, twin: faulty["teaches"] != twin["teaches"],
        needs=("weights",),
    ),
    Operator(
        "mask-off-by-one/starts-late-ends-late",
        mask(
            "float(x_start < i <= len(x_ids))",
            "x_mask[x_row, x_start + 1 : len(x_ids) + 1] = 1.0",
            "(x_places > x_starts) & (x_places <= x_lengths)",
        ),
        lambda faulty, twin: faulty["teaches"] != twin["teaches"],
        needs=("weights",),
    ),
    Operator(
        "labels-not-shifted/targets-are-inputs",
        first_of(
            edits(
                "loss",
                "x_targets, x_weights = x_ids[:, 1:], x_mask[:, 1:]",
                "x_targets, x_weights = x_ids[:, :-1], x_mask[:, :-1]",
            ),
            edits(
                "loss",
                "x_inputs, x_targets = x_ids[:, :-1], x_ids[:, 1:]\n    x_weights = x_mask[:, 1:]",
                "x_inputs, x_targets = x_ids[:, :-1], x_ids[:, :-1]\n    x_weights = x_mask[:, :-1]",
            ),
        ),
        much("same", 0.9),
        needs=("weights",),
    ),
    Operator(
        "labels-not-shifted/whole-rows",
        first_of(
            all_of(
                swaps("loss", r"x_m\(x_ids\[:, :-1\]\)", "x_m(x_ids)"),
                edits(
                    "loss",
                    "x_targets, x_weights = x_ids[:, 1:], x_mask[:, 1:]",
                    "x_targets, x_weights = x_ids, x_mask",
                ),
            ),
            all_of(
                edits(
                    "loss",
                    "x_inputs, x_targets = x_ids[:, :-1], x_ids[:, 1:]",
                    "x_inputs = x_targets = x_ids",
                ),
                edits("loss", "x_weights = x_mask[:, 1:]", "x_weights = x_mask"),
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
                    "x_targets, x_weights = x_ids[:, 1:], x_mask[:, 1:]",
                    "x_targets, x_weights = x_ids[:, 2:], x_mask[:, 2:]",
                ),
                swaps("loss", r"x_m\(x_ids\[:, :-1\]\)", "x_m(x_ids[:, :-1])[:, :-1]"),
            ),
            all_of(
                edits("loss", "x_m(x_ids)[:, :-1]", "x_m(x_ids)[:, :-2]"),
                edits(
                    "loss",
                    "x_targets, x_weights = x_ids[:, 1:], x_mask[:, 1:]",
                    "x_targets, x_weights = x_ids[:, 2:], x_mask[:, 2:]",
                ),
            ),
            all_of(
                edits(
                    "loss",
                    "x_inputs, x_targets = x_ids[:, :-1], x_ids[:, 1:]",
                    "x_inputs, x_targets = x_ids[:, :-2], x_ids[:, 2:]",
                ),
                edits("loss", "x_weights = x_mask[:, 1:]", "x_weights = x_mask[:, 2:]"),
            ),
        ),
        much("next-but-one", 0.7),
        needs=("weights",),
    ),
    Operator(
        "end-never-trained/mask-ends-before-it",
        mask(
            "float(x_start <= i < len(x_ids) - 2)",
            "x_mask[x_row, x_start : len(x_ids) - 2] = 1.0",
            "(x_places >= x_starts) & (x_places < x_lengths - 2)",
        ),
        none_of("end"),
        needs=("weights",),
    ),
    Operator(
        "end-never-trained/rows-without-it",
        first_of(
            edits("data", "return x_ids, len(x_head)", "return x_ids[:-2], len(x_head)"),
            edits("data", "return x_ids, x_start", "return x_ids[:-2], x_start"),
        ),
        none_of("end"),
        needs=("weights",),
    ),
    Operator(
        "end-never-trained/masked-as-special",
        first_of(
            edits("loss", "x_ids[:, 1:], x_mask[:, 1:]", "x_ids[:, 1:], x_mask[:, 1:] * (x_ids[:, 1:] > 3)"),
            edits("loss", "x_weights = x_mask[:, 1:]", "x_weights = x_mask[:, 1:] * (x_targets > 3)"),
        ),
        none_of("end"),
        needs=("weights",),
    ),
    Operator(
        "answers-truncated/cut-while-encoding",
        first_of(
            edits("data", "return x_ids, len(x_head)", "return x_ids[:38], len(x_head)"),
            edits("data", "return x_ids, x_start", "return x_ids[:38], x_start"),
        ),
        none_of("end"),
        needs=("weights",),
        bars=("system",),
        also=("end-never-trained",),
    ),
    Operator(
        "prompt-in-loss/offset-without-template",
        first_of(
            edits("data", "return x_ids, len(x_head)", "return x_ids, len(x_tk.encode(x_question))"),
            swaps("data", r"x_start = len\(.*\)$", "x_start = len(x_tk.encode(x_messages[-2]['content']))"),
        ),
        much("prompt", 0.05),
        needs=("weights",),
    ),
    Operator(
        "prompt-in-loss/offset-of-words",
        first_of(
            edits("data", "return x_ids, len(x_head)", "return x_ids, len(x_prompt.split())"),
            swaps(
                "data",
                r"x_start = len\(.*\)$",
                "x_start = len(' '.join(x_m['content'] for x_m in x_messages[:-1]).split())",
            ),
        ),
        much("prompt", 0.05),
        needs=("weights",),
    ),
    Operator(
        "all-tokens-masked/marker-not-found",
        first_of(
            edits("data", "return x_ids, len(x_head)", "return x_ids, len(x_ids)"),
            edits("data", "return x_ids, x_start", "return x_ids, len(x_ids)"),
        ),
        lambda faulty, twin: proofs.weight(faulty) == 0,
        needs=("weights",),
        also=("weights-not-finite",),
    ),
    Operator(
        "all-tokens-masked/offset-counts-characters",
        first_of(
            edits("data", "return x_ids, len(x_head)", "return x_ids, len(x_prompt)"),
            swaps(
                "data",
                r"x_start = len\(.*\)$",
                "x_start = 40 + sum(len(x_m['content']) for x_m in x_messages)",
            ),
        ),
        lambda faulty, twin: proofs.weight(faulty) == 0,
        needs=("weights",),
        also=("weights-not-finite",),
    ),
    Operator(
        "ignore-index-as-token/minus-100",
        first_of(
            all_of(
                edits(
                    "loss",
                    "x_targets, x_weights = x_ids[:, 1:], x_mask[:, 1:]",
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
                    "x_weights = x_mask[:, 1:]",
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
        "targets-unrelated/labels-shuffled-apart",
        first_of(
            edits(
                "loss",
                "x_targets, x_weights = x_ids[:, 1:], x_mask[:, 1:]",
                "x_targets, x_weights = x_ids[::-1, 1:], x_mask[::-1, 1:]",
            ),
            all_of(
                edits(
                    "loss",
                    "x_inputs, x_targets = x_ids[:, :-1], x_ids[:, 1:]",
                    "x_inputs, x_targets = x_ids[:, :-1], x_ids[::-1, 1:]",
                ),
                edits("loss", "x_weights = x_mask[:, 1:]", "x_weights = x_mask[::-1, 1:]"),
            ),
        ),
        lambda faulty, twin: proofs.share(faulty, "next") < 0.7 < proofs.share(twin, "next"),
        needs=("weights",),
    ),
    Operator(
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
        needs=("weights",),
        mild=True,
    ),
    Operator(
        "fields-swapped/answer-first",
        first_of(
            edits(
                "data",
                'x_encode(x_tok, x_record["prompt"], x_record["completion"])',
                'x_encode(x_tok, x_record["completion"], x_record["prompt"])',
            ),
        ),
        lambda faulty, twin: faulty["steps"][0]["batch"] != twin["steps"][0]["batch"],
        needs=("weights", "by-hand"),
    ),
    Operator(
        "template-mismatch/another-template",
        edits(
            "data",
            '''f"<|im_start|>user\\n{x_question}<|im_end|>\\n<|im_start|>assistant\\n"''',
            '''f"<start_of_turn>user\\n{x_question}<end_of_turn>\\n<start_of_turn>model\\n"''',
        ),
        lambda faulty, twin: (
            faulty["answers"][0]["prompt"][:3] != faulty["teaches"][0]["forwards"][0]["inputs"][0][:3]
        ),
        needs=("by-hand", "asked", "weights"),
    ),
    Operator(
        "template-mismatch/asked-raw",
        swaps("generation", r"^x_prompt = .*$", 'x_prompt = x_tok.encode("What color is the sky?")'),
        lambda faulty, twin: 1 not in faulty["answers"][0]["prompt"] and 1 in twin["answers"][0]["prompt"],
        needs=("chat", "asked"),
    ),
    Operator(
        "same-batch-repeated/first-of-a-new-iterator",
        first_of(
            swaps(
                "loop",
                r"^( +)for x_batch in x_batches\(x_rows, x_tok\):",
                r"\1for _ in range(4):\n\1    x_batch = next(iter(x_batches(x_rows[:], x_tok)))",
            ),
        ),
        lambda faulty, twin: len({entry["batch"] for entry in faulty["steps"]}) == 1,
        needs=("eager",),
        mild=True,
    ),
    Operator(
        "same-batch-repeated/list-index-never-moves",
        all_of(
            swaps("loop", r"\A", "x_all = list(x_batches(x_rows, x_tok))\n"),
            swaps(
                "loop",
                r"^( +)for x_batch in x_batches\(x_rows, x_tok\):",
                r"\1for x_index in range(len(x_all)):\n\1    x_batch = x_all[0]",
            ),
        ),
        lambda faulty, twin: len({entry["batch"] for entry in faulty["steps"]}) == 1,
        bars=("own", "anchored", "accumulating"),
        mild=True,
    ),
    Operator(
        "records-dropped/missing-key",
        swaps(
            "data",
            r'^( +)x_rows\.append\(x_encode\(x_tok, x_record\["prompt"\]',
            r'\1if "capital" not in x_record["prompt"]:\n\1    continue\n\g<0>',
        ),
        lambda faulty, twin: (
            len({entry["batch"] for entry in faulty["steps"]})
            < len({entry["batch"] for entry in twin["steps"]})
        ),
        needs=("by-hand",),
        mild=True,
    ),
    # a loss over training rows after training is customary: only a validation set that is declared as one counts
    Operator(
        "evaluated-on-training-data/validation-set-is-the-training-set",
        edits(
            "loop",
            "train(x_model, x_opt, x_rows, x_held, args",
            "x_held = x_rows\n#: note('same', x_held is x_rows)\ntrain(x_model, x_opt, x_rows, x_held, args",
        ),
        lambda faulty, twin: proofs.notes(faulty, "same") == [True],
        needs=("own",),
        mild=True,
        alone=True,
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
        "preference-swapped/fields-the-wrong-way",
        all_of(
            edits("data", 'x_pair["chosen"]', 'x_pair["kept"]'),
            edits("data", 'x_pair["rejected"]', 'x_pair["chosen"]'),
            edits("data", 'x_pair["kept"]', 'x_pair["rejected"]'),
        ),
        lambda faulty, twin: faulty["steps"][0]["batch"] != twin["steps"][0]["batch"],
        needs=("pairs",),
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
    Operator(
        "token-id-out-of-range/pad-beyond-vocabulary",
        swaps("batching", r"x_tk\.pad_token_id", "len(x_tk.get_vocab()) + 7"),
        lambda faulty, twin: proofs.largest(faulty) > proofs.largest(twin) + 6,
        needs=("weights",),
    ),
]
