"""Held out: faults of rows, targets, preferences, rewards and the terms of a loss."""

from tests.exam import proofs
from tests.exam.operators import Operator, all_of, edits, first_of, swaps
from tests.exam.operators.known.styles import JOINED

LOOPED = r"^( +)for x_batch in x_batches\(x_rows, x_tok\):"


def of_the_prompt(faulty, twin):
    """Whether what is taught are tokens that only the twin's prompts hold."""
    answers = {target for *_, target, _ in proofs.positions(twin)}
    prompts = {one for inputs, *_ in proofs.positions(twin) for one in inputs} - answers
    taught = [target for *_, target, _ in proofs.positions(faulty)]
    return bool(taught) and sum(one in prompts for one in taught) > 0.1 * len(taught)


def other_batches(faulty, twin):
    return faulty["steps"][0]["batch"] != twin["steps"][0]["batch"]


def otherwise(faulty, twin):
    return bool(faulty["teaches"] != twin["teaches"])


def other_rows(faulty, twin):
    one, two = proofs.notes(faulty, "first row"), proofs.notes(twin, "first row")
    return bool(one) and one != two and "?" in one[0][-40:] and "?" not in two[0][-40:]


def same_value_other_gradient(faulty, twin):
    apart = [
        abs(one - two) for one, two in zip(proofs.gradients(faulty), proofs.gradients(twin), strict=False)
    ]
    return abs(proofs.losses(faulty)[0] - proofs.losses(twin)[0]) < 1e-4 and max(apart) > 1e-4


def no_gradient(faulty, twin):
    return proofs.gradients(faulty) != [] and max(proofs.gradients(faulty)) == 0 < max(proofs.gradients(twin))


def begins_twice(faulty, twin):
    rows = [row for forward in proofs.forwards(faulty) for row in forward["inputs"]]
    return any(row[:2] == [3, 3] for row in rows)


def cut(program):
    """Rows cut to a length, in any style of batching that does not pack them."""
    made = program.substituted(
        "batching",
        r"^def x_batches\(x_data, x_tk\):\n",
        "def x_batches(x_data, x_tk):\n    x_data = [(x_ids[: S.max_len], x_start) for x_ids, x_start in x_data]\n",
    )
    return made.setting(max_len=24) if made is not None else None


OPERATORS = [
    Operator(
        "fields-swapped/turns-taken-from-the-wrong-side",
        swaps(
            "data",
            r"^( +)x_ids = x_tk\.apply_chat_template\(x_messages",
            r"\1x_messages = [*x_messages[:-2], {**x_messages[-2], 'content': x_messages[-1]['content']}, {**x_messages[-1], 'content': x_messages[-2]['content']}]"
            "\n\\g<0>",
        ),
        of_the_prompt,
        needs=("sft", "chat"),
        bars=("hidden",),
    ),
    Operator(
        "fields-swapped/instruction-and-output",
        edits(
            "data",
            'x_fill(x_line["prompt"]), x_line["completion"]',
            'x_fill(x_line["completion"]), x_line["prompt"]',
        ),
        of_the_prompt,
        needs=("alpaca",),
        bars=("hidden",),
    ),
    Operator(
        "fields-swapped/keys-of-the-data-set",
        edits(
            "data",
            'prompt_key="prompt", completion_key="completion"',
            'prompt_key="completion", completion_key="prompt"',
        ),
        other_rows,
        needs=("own",),
    ),
    Operator(
        "preference-swapped/sorted-the-other-way",
        edits("data", ", reverse=True", ""),
        other_batches,
        needs=("ranked",),
    ),
    Operator(
        "preference-swapped/halves-stacked-the-other-way",
        edits(
            "batching",
            "[x_good for x_good, _ in x_part] + [x_bad for _, x_bad in x_part]",
            "[x_bad for _, x_bad in x_part] + [x_good for x_good, _ in x_part]",
        ),
        other_batches,
        needs=("pairs",),
    ),
    Operator(
        "preference-swapped/minus-before-beta",
        edits("loss", "-nn.log_sigmoid(S.beta * x_margin)", "-nn.log_sigmoid(-S.beta * x_margin)"),
        otherwise,
        needs=("dpo",),
    ),
    Operator(
        "preference-swapped/liked-and-disliked",
        all_of(
            edits("loss", "x_ratio[:x_half] - x_point", "x_ratio[x_half:] - x_point"),
            edits("loss", "x_point - x_ratio[x_half:]", "x_point - x_ratio[:x_half]"),
        ),
        otherwise,
        needs=("dpo",),
    ),
    Operator(
        "advantage-zero/reward-that-never-matches",
        edits("loss", "return -abs(len(x_text) - 14) / 14", 'return float("<answer>" in x_text)'),
        no_gradient,
        needs=("policy",),
        bars=("decay",),
        mild=True,
    ),
    Operator(
        "advantage-zero/mean-over-an-axis-of-one",
        edits("loop", "(x_scores - x_scores.mean())", "(x_scores - x_scores[:, None].mean(axis=1))"),
        no_gradient,
        needs=("policy",),
        bars=("decay",),
        mild=True,
    ),
    Operator(
        "reference-is-policy/scored-by-the-live-model",
        edits("loop", "x_logps(x_ref, x_ids, x_mask)", "x_logps(x_model, x_ids, x_mask)"),
        lambda faulty, twin: (
            max(abs(loss - proofs.losses(faulty)[0]) for loss in proofs.losses(faulty)) < 1e-3
        ),
        needs=("dpo",),
        bars=("dropout",),
    ),
    Operator(
        "reference-is-policy/refreshed-after-every-update",
        swaps(
            "loop",
            r"^( +)x_opt\.update\(x_model, x_grads\)",
            r"\g<0>\n\1x_ref.update(x_model.parameters())",
        ),
        lambda faulty, twin: (
            max(abs(loss - proofs.losses(faulty)[0]) for loss in proofs.losses(faulty)) < 1e-3
        ),
        needs=("dpo",),
        bars=("lora",),
    ),
    Operator(
        "labels-shifted-twice/rolled-and-cut",
        first_of(
            edits(
                "loss",
                JOINED,
                "x_targets, x_weights = mx.roll(x_ids, -1, axis=1)[:, 1:], mx.roll(x_mask, -1, axis=1)[:, 1:]",
            ),
            edits(
                "loss",
                "x_m(x_ids[:, :-1]), x_ids[:, 1:], reduction",
                "x_m(x_ids[:, :-1]), mx.roll(x_ids, -1, axis=1)[:, 1:], reduction",
            ),
        ),
        lambda faulty, twin: proofs.share(faulty, "next-but-one") > 0.6 > proofs.share(twin, "next-but-one"),
        needs=("sft",),
    ),
    Operator(
        "ignore-index-as-token/compared-with-the-padding",
        edits(
            "loss",
            JOINED,
            "x_targets = mx.where(x_mask[:, 1:] > 0, x_ids[:, 1:], -100)\n    x_weights = (x_targets != 0).astype(mx.float32)",
        ),
        lambda faulty, twin: proofs.weight(faulty) > 0 and proofs.share(faulty, "next") < 0.6,
        needs=("sft",),
    ),
    Operator(
        "answers-truncated/cut-when-batched",
        cut,
        lambda faulty, twin: (
            proofs.weight(faulty) > 0 and proofs.share(faulty, "end") < 0.5 * proofs.share(twin, "end")
        ),
        needs=("sft",),
        bars=("packed", "system", "anchored", "hidden"),
        also=("end-never-trained",),
    ),
    Operator(
        "double-bos/template-rendered-and-encoded",
        swaps(
            "data",
            r"^( +)x_ids = x_tk\.apply_chat_template\(x_messages, return_dict=False\)",
            r"\1x_ids = x_tk.encode(x_tk.apply_chat_template(x_messages, tokenize=False))",
        ),
        begins_twice,
        needs=("llama-begin", "chat"),
        bars=("anchored",),
    ),
    Operator(
        "double-bos/written-into-the-prompt-text",
        edits("data", 'x_prompt = f"<|im_start|>', 'x_prompt = f"{x_tk.bos_token}<|im_start|>'),
        begins_twice,
        needs=("llama-begin", "by-hand"),
        bars=("anchored",),
    ),
    Operator(
        "double-bos/asked-with-text-encoded-anew",
        first_of(
            swaps(
                "generation",
                r"^x_prompt = x_tok\.apply_chat_template\((.*), return_dict=False\)",
                r"x_prompt = x_tok.encode(x_tok.apply_chat_template(\1, tokenize=False))",
            ),
            swaps(
                "generation",
                r"^( *)x_asked = x_tok\.apply_chat_template\((.*), return_dict=False\)",
                r"\1x_asked = x_tok.encode(x_tok.apply_chat_template(\2, tokenize=False))",
            ),
        ),
        lambda faulty, twin: faulty["answers"][0]["prompt"][:2] == [3, 3] != twin["answers"][0]["prompt"][:2],
        needs=("llama-begin", "asked", "chat"),
        also=("template-mismatch",),
    ),
    Operator(
        "records-dropped/line-read-twice",
        all_of(
            swaps(
                "data",
                r"^( +)for x_line in x_lines:\n( +)if x_line\.strip\(\):",
                r"\1for x_line in x_lines:\n\2x_line = next(x_lines, '')\n\2if x_line.strip():",
            ),
            swaps("data", r"^x_held = list", "#: note('rows', len(x_rows))\nx_held = list"),
        ),
        lambda faulty, twin: proofs.notes(faulty, "rows") == [7],
        needs=("sft",),
        mild=True,
    ),
    Operator(
        "same-batch-repeated/slice-from-the-start",
        edits("batching", "x_data[x_at : x_at + S.batch]", "x_data[: S.batch]"),
        lambda faulty, twin: (
            len({entry["batch"] for entry in faulty["steps"]})
            == 1
            < len({entry["batch"] for entry in twin["steps"]})
        ),
        bars=("accumulating",),
        mild=True,
    ),
    Operator(
        "answers-partly-masked/words-of-the-question",
        first_of(
            edits(
                "batching",
                "float(x_start <= i < len(x_ids))",
                "float(x_start <= i < len(x_ids) and (x_ids[i] not in x_ids[5:x_start] or x_ids[i] == x_tk.eos_token_id))",
            ),
            edits(
                "batching",
                "(len(x_ids) - x_start) * [1]",
                "[int(x_i not in x_ids[5:x_start] or x_i == x_tk.eos_token_id) for x_i in x_ids[x_start:]]",
            ),
        ),
        lambda faulty, twin: (
            proofs.weight(faulty) > 0
            and len(list(proofs.positions(faulty))) < 0.8 * len(list(proofs.positions(twin)))
        ),
        needs=("sft",),
        bars=("anchored", "hidden"),
        mild=True,
    ),
    Operator(
        "term-detached/student-stopped-in-the-divergence",
        edits(
            "loss",
            "nn.log_softmax(x_logits, axis=-1))).sum",
            "nn.log_softmax(mx.stop_gradient(x_logits), axis=-1))).sum",
        ),
        same_value_other_gradient,
        needs=("distilled",),
        mild=True,
    ),
    Operator(
        "term-detached/odds-of-stopped-means",
        edits("loss", "S.beta * nn.log_sigmoid(x_odds)", "S.beta * nn.log_sigmoid(mx.stop_gradient(x_odds))"),
        same_value_other_gradient,
        needs=("orpo",),
        bars=("compiled",),
        mild=True,
    ),
    Operator(
        "gradient-wrong/own-backward-without-the-target",
        all_of(
            edits(
                "loss",
                "x_ce = nn.losses.cross_entropy(x_logits, x_targets)\n",
                "x_ce = x_entropy(x_logits, x_targets)\n",
            ),
            swaps(
                "loss",
                r"^def x_loss_fn\(",
                "@mx.custom_function\ndef x_entropy(x_l, x_t):\n    return nn.losses.cross_entropy(x_l, x_t)\n\n\n"
                "@x_entropy.vjp\ndef x_entropy_back(x_primals, x_cotangent, x_output):\n    x_l, x_t = x_primals\n"
                "    return mx.softmax(x_l, axis=-1) * x_cotangent[..., None], mx.zeros_like(x_t)\n\n\n\\g<0>",
            ),
        ),
        lambda faulty, twin: (
            proofs.losses(faulty)[0] == proofs.losses(twin)[0] and proofs.weight(faulty) < 1e-3
        ),
        needs=("logits",),
        bars=("llama-bfloat16",),
    ),
    Operator(
        "loss-not-of-logits/soft-cap-left-out",
        first_of(
            edits("loss", "x_m(x_ids[:, :-1])", "x_m.model.embed_tokens.as_linear(x_m.model(x_ids[:, :-1]))"),
            edits("loss", "x_m(x_inputs)", "x_m.model.embed_tokens.as_linear(x_m.model(x_inputs))"),
        ),
        lambda faulty, twin: abs(proofs.losses(faulty)[0] - proofs.losses(twin)[0]) > 1e-3,
        needs=("gemma2", "sft"),
    ),
]
