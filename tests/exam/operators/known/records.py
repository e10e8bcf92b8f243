"""Faults of records, templates, batches and token ids."""

from tests.exam import proofs
from tests.exam.operators import Operator, all_of, edits, first_of, swaps

OPERATORS = [
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
            r'\1if "the s" in x_record["prompt"]:\n\1    continue\n\g<0>',  # some in between others
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
        "token-id-out-of-range/pad-beyond-vocabulary",
        swaps("batching", r"x_tk\.pad_token_id", "len(x_tk.get_vocab()) + 7"),
        lambda faulty, twin: proofs.largest(faulty) > proofs.largest(twin) + 6,
        needs=("weights",),
    ),
]
