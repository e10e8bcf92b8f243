"""Held out: further faults of rows, targets and terms, most in the losses and batches of the measured pieces."""

from tests.exam import proofs
from tests.exam.operators import Operator, all_of, edits, first_of, swaps
from tests.exam.operators.known.styles import JOINED, encoded, mask

ADAPTED = r"^#: adapted"


def fewer_positions(faulty, twin):
    return (
        proofs.weight(faulty) > 0
        and len(list(proofs.positions(faulty))) < 0.85 * len(list(proofs.positions(twin)))
        and proofs.share(faulty, "end") > 0
    )


def below_zero(facts):
    return any(one < 0 for forward in proofs.forwards(facts) for row in forward["inputs"] for one in row)


def stays_high(faulty, twin):
    return (
        min(proofs.losses(faulty)) > 0.7 * proofs.losses(faulty)[0]
        and min(proofs.losses(twin)) < 0.85 * proofs.losses(twin)[0]
    )


def same_value_other_gradient(faulty, twin):
    apart = [abs(a - b) for a, b in zip(proofs.gradients(faulty), proofs.gradients(twin), strict=False)]
    return abs(proofs.losses(faulty)[0] - proofs.losses(twin)[0]) < 1e-4 and max(apart) > 1e-4


OPERATORS = [
    Operator(
        "answers-partly-masked/header-counted-twice",
        first_of(
            mask("float(x_start + 4 <= i < len(x_ids))", "x_mask[x_row, x_start + 4 : len(x_ids)] = 1.0", "(x_places >= x_starts + 4) & (x_places < x_lengths)"),
            edits("batching", "x_start * [0] + (len(x_ids) - x_start) * [1]", "(x_start + 4) * [0] + (len(x_ids) - x_start - 4) * [1]"),
            edits("batching", "[0.0] * (x_before + x_start) + [1.0] * (len(x_ids) - x_start)", "[0.0] * (x_before + x_start + 4) + [1.0] * (len(x_ids) - x_start - 4)"),
            edits("batching", "mx.zeros((x_start,)), mx.ones((len(x_ids) - x_start,))", "mx.zeros((x_start + 4,)), mx.ones((len(x_ids) - x_start - 4,))"),
        ),
        fewer_positions,
        needs=("sft",),
        bars=("anchored", "hidden", "one-opening"),
        mild=True,
    ),
    Operator(
        "ignore-index-as-token/minus-one-for-minus-hundred",
        edits(
            "loss",
            JOINED,
            "x_targets = mx.where(x_mask[:, 1:] > 0, x_ids[:, 1:], -1)\n    x_weights = (x_targets != -100).astype(mx.float32)",
        ),
        lambda faulty, twin: proofs.weight(faulty) > 0 and proofs.share(faulty, "next") < 0.6,
        needs=("sft",),
    ),
    Operator(
        "ignore-index-as-token/zero-that-the-sum-counts",
        first_of(
            edits(
                "loss",
                "x_ce = nn.losses.cross_entropy(x_scores, x_ids[:, 1:])\n    return (x_ce * x_mask[:, 1:]).sum() / x_mask[:, 1:].sum()",
                "x_ce = nn.losses.cross_entropy(x_scores, mx.where(x_mask[:, 1:] > 0, x_ids[:, 1:], 0))\n    return x_ce.mean()",
            ),
            edits("loss", JOINED, "x_targets, x_weights = mx.where(x_mask[:, 1:] > 0, x_ids[:, 1:], 0), mx.ones_like(x_mask[:, 1:])"),
        ),
        lambda faulty, twin: proofs.share(faulty, "pad") > 0.4,
        needs=("sft",),
        also=("padding-in-loss", "targets-unrelated"),
    ),
    Operator(
        "labels-shifted-twice/in-the-scores-of-the-loss",
        first_of(
            all_of(
                edits("loss", "x_scores = x_m.lm_head(x_hidden)", "x_scores = x_m.lm_head(x_hidden)[:, :-1]"),
                edits("loss", "x_scores, x_ids[:, 1:]", "x_scores, x_ids[:, 2:]"),
                edits("loss", "x_mask[:, 1:]", "x_mask[:, 2:]"),
            ),
            all_of(
                edits("loss", "nn.log_softmax(x_m(x_ids[:, :-1]), axis=-1)", "nn.log_softmax(x_m(x_ids[:, :-2]), axis=-1)"),
                edits("loss", "x_ids[:, 1:, None]", "x_ids[:, 2:, None]"),
                edits("loss", "x_where = x_mask[:, 1:]", "x_where = x_mask[:, 2:]"),
            ),
            all_of(
                edits("loss", "x_shifted, x_count = x_mask[:, 1:]", "x_shifted, x_count = x_mask[:, 2:]"),
                edits("loss", "x_m(x_ids[:, :-1]), x_ids[:, 1:], reduction", "x_m(x_ids[:, :-2]), x_ids[:, 2:], reduction"),
            ),
        ),
        lambda faulty, twin: abs(proofs.losses(faulty)[0] - proofs.losses(twin)[0]) > 0.3,
        needs=("sft",),
    ),
    Operator(
        "probabilities-as-logits/model-that-returns-them",
        swaps(
            "trained",
            ADAPTED,
            "x_kind = type(x_model)\nx_scored = x_kind.__call__\n"
            "x_kind.__call__ = lambda x_self, *x_a, **x_k: mx.softmax(x_scored(x_self, *x_a, **x_k), axis=-1)\n#: adapted",
        ),
        stays_high,
        needs=("sft",),
        bars=("own", "reloaded", "reloaded-apart", "hidden", "anchored", "llama-bfloat16", "whole-folder"),
    ),
    Operator(
        "records-dropped/alike-in-their-first-tokens",
        swaps(
            "data",
            r"^x_held = ",
            "x_rows = list({tuple(x_row[0][:7]): x_row for x_row in x_rows}.values())\n#: note('rows', len(x_rows))\n\\g<0>",
        ),
        lambda faulty, twin: proofs.notes(faulty, "rows")[0] < 9,
        needs=("sft",),
        bars=("by-hand",),  # which holds its last two rows out afterwards: none would be left
        mild=True,
    ),
    Operator(
        "rows-not-independent/embedding-centred-over-the-batch",
        swaps(
            "trained",
            ADAPTED,
            "x_table = type(x_model.model.embed_tokens)\nx_looked_up = x_table.__call__\n"
            "x_table.__call__ = lambda x_e, x_i: (lambda x_o: x_o - 0.5 * x_o.mean(axis=0, keepdims=True))(x_looked_up(x_e, x_i))\n"
            "#: independent(x_model)\n#: adapted",
        ),
        lambda faulty, twin: proofs.notes(faulty, "independent")[:1] == [False],
        bars=("reloaded", "reloaded-apart", "own", "anchored", "qwen2-4bit", "llama-bfloat16"),
    ),
    Operator(
        "targets-unrelated/forward-of-the-batch-upside-down",
        first_of(
            edits("loss", "x_m.model(x_ids[:, :-1])", "x_m.model(x_ids[::-1, :-1])"),
            edits("loss", "nn.log_softmax(x_m(x_ids[:, :-1]), axis=-1)", "nn.log_softmax(x_m(x_ids[::-1, :-1]), axis=-1)"),
            edits("loss", "x_logits = x_m(x_ids)[:, :-1]", "x_logits = x_m(x_ids[::-1])[:, :-1]"),
        ),
        lambda faulty, twin: abs(proofs.losses(faulty)[0] - proofs.losses(twin)[0]) > 0.3,
        needs=("sft",),
    ),
    Operator(
        "term-detached/disliked-half-stopped",
        edits("loss", "S.beta * (x_point - x_ratio[x_half:])", "S.beta * (x_point - mx.stop_gradient(x_ratio[x_half:]))"),
        same_value_other_gradient,
        needs=("dpo",),
        mild=True,
    ),
    Operator(
        "token-id-out-of-range/padding-of-minus-one",
        swaps("batching", r"x_tk\.pad_token_id", "-1"),
        lambda faulty, twin: below_zero(faulty) and not below_zero(twin),
        needs=("sft",),
        bars=("anchored",),
    ),
    Operator(
        "token-id-out-of-range/end-numbered-by-the-size",
        first_of(
            encoded("[x_i if x_i != x_tk.eos_token_id else len(x_tk.get_vocab()) + 2 for x_i in x_ids]"),
            edits("data", "x_first + x_last + [x_tk.eos_token_id]", "x_first + x_last + [len(x_tk.get_vocab()) + 2]"),
        ),
        lambda faulty, twin: proofs.largest(faulty) > proofs.largest(twin) and proofs.largest(faulty) > 383,
        needs=("sft",),
        bars=("anchored",),
    ),
]  # fmt: skip
