"""Held out: further faults of updates, schedules, settings and of errors passed over."""

from tests.exam import proofs
from tests.exam.operators import Operator, all_of, edits, first_of, swaps
from tests.exam.operators.measured.answers import declared
from tests.exam.operators.measured.batches import with_settings

ADAPTED = r"^#: adapted"
UPDATE = r"^( +)x_opt\.update\(x_model, (x_grads|x_tree)\)"


def rates(facts):
    return [entry["rate"] for entry in facts["steps"]]


def raised(faulty, twin):
    return bool(proofs.notes(faulty, "raised"))


def nothing_moved(faulty, twin):
    return not proofs.moved(faulty) and proofs.moved(twin)


def passed_over(attempt, said):
    """Statements in a try, at the top of a part, whose error is printed as if nothing were."""
    return f"try:\n    {attempt}\nexcept Exception as x_error:\n    print({said!r})\n    #: note('raised', repr(x_error))\n"


OPERATORS = [
    Operator(
        "accumulation-mismatch/sum-never-emptied",
        swaps(
            "loop",
            r"^( +)x_sum = None\n(?=\1#: step)",
            r"\1#: note('applied', optim.clip_grad_norm(x_sum, 1e9)[1])\n",
        ),
        lambda faulty, twin: sum(proofs.notes(faulty, "applied")) > 3 * sum(proofs.gradients(faulty)),
        needs=("accumulating",),
        mild=True,
    ),
    Operator(
        "accumulation-mismatch/token-sums-divided-by-the-parts",
        edits("loop", "x_g / x_tokens", "x_g / S.accumulate"),
        lambda faulty, twin: proofs.gradients(faulty)[0] > 5 * proofs.gradients(twin)[0],
        needs=("by-tokens",),
        mild=True,
    ),
    Operator(
        "schedule-in-wrong-unit/asked-with-the-epoch",
        all_of(
            swaps(
                "loop",
                r"^for x_epoch in range\((.*)\):\n",
                "x_fall = optim.cosine_decay(S.lr, 2 * math.ceil(len(x_rows) / S.batch) * \\1)\n"
                "\\g<0>    x_opt.learning_rate = x_fall(x_epoch)\n",
            ),
        ),
        lambda faulty, twin: rates(faulty)[-1] > 0.9 * max(rates(faulty)) > 0.9 * rates(faulty)[-1],
        needs=("sft",),
        bars=("schedule",),
        mild=True,
    ),
    Operator(
        "schedule-in-wrong-unit/warm-up-in-tokens",
        swaps("optimizer", r"(S\.lr, |\[)S\.warmup\b(?=[\])])", r"\1S.warmup * S.batch * S.max_len"),
        lambda faulty, twin: max(rates(faulty)) < 0.1 * max(rates(twin)),
        needs=("schedule",),
        mild=True,
    ),
    Operator(
        "setting-not-in-force/decay-under-a-name-that-nothing-reads",
        declared(
            with_settings(
                edits(
                    "optimizer",
                    "x_opt = optim.AdamW(learning_rate=S.lr, weight_decay=S.decay)\n",
                    "x_opt = optim.AdamW(learning_rate=S.lr)\nx_opt.decay = S.decay\n",
                ),
                decay=0.3,
            )
        ),
        lambda faulty, twin: proofs.losses(faulty) == proofs.losses(twin),
        needs=("decay",),
        bars=("own",),
        mild=True,
    ),
    Operator(
        "setting-not-in-force/rate-set-on-an-optimizer-that-has-a-schedule",
        declared(
            swaps(
                "optimizer",
                r"^(x_opt = optim\.\w+\()learning_rate=S\.lr\b(?! /)(.*)$",
                r"\1learning_rate=optim.exponential_decay(2e-4, 0.98)\2" + "\nx_opt.learning_rate = S.lr",
            )
        ),
        lambda faulty, twin: rates(faulty)[0] < 0.5 * rates(twin)[0],
        bars=("own", "partial", "momentum", "schedule"),
        mild=True,
    ),
    Operator(
        "setting-not-in-force/clipped-tensor-by-tensor",
        first_of(
            edits(
                "loop",
                "x_grads, x_norm = optim.clip_grad_norm(x_grads, S.clip)",
                "x_grads = tree_map(lambda x_g: optim.clip_grad_norm({'one': x_g}, S.clip)[0]['one'], x_grads)",
            ),
            edits(
                "loop",
                "x_tree, _ = optim.clip_grad_norm(x_tree, max_norm=S.clip)",
                "x_tree = tree_map(lambda x_g: optim.clip_grad_norm({'one': x_g}, S.clip)[0]['one'], x_tree)",
            ),
        ),
        lambda faulty, twin: max(proofs.gradients(faulty)) > 1.05 >= max(proofs.gradients(twin)),
        mild=True,
    ),
    Operator(
        "wrong-model-updated/update-of-a-dictionary-of-parameters",
        swaps("loop", UPDATE, r"\1x_opt.update(x_model.trainable_parameters(), \2)"),
        nothing_moved,
        bars=("own", "accumulating", "compiled"),
        also=("optimizer-never-stepped",),
    ),
    Operator(
        "error-swallowed/warm-start-that-is-strict-by-default",
        swaps(
            "trained",
            ADAPTED,
            "mx.save_safetensors('earlier.safetensors', {x_n: x_v * 1.1 for x_n, x_v in tree_flatten(x_model.trainable_parameters())})\n"
            + passed_over("x_model.load_weights('earlier.safetensors')", "starting afresh")
            + "#: adapted",
        ),
        raised,
        needs=("lora",),
        mild=True,
    ),
    Operator(
        "error-swallowed/row-asked-without-its-batch",
        swaps(
            "evaluation",
            r"\Z",
            "x_right = 0\nfor x_ids, _ in x_rows[:4]:\n    try:\n"
            "        x_guess = mx.argmax(x_model(mx.array(x_ids[:-1])), axis=-1)\n"
            "        x_right += (x_guess == mx.array(x_ids[1:])).mean().item()\n"
            "    except Exception as x_error:\n        x_reason = str(x_error)\n"
            "        #: note('raised', x_reason)\nprint('right:', x_right / 4)\n",
        ),
        raised,
        needs=("sft",),
        mild=True,
    ),
    Operator(
        "error-swallowed/merged-layers-handed-over-as-a-list",
        edits(
            "fuse",
            "x_model.update_modules(tree_unflatten(x_fused))\n",
            passed_over("x_model.update_modules(x_fused)", "nothing to merge"),
        ),
        raised,
        needs=("fused",),
        also=("fuse-lost-update",),
        mild=True,
    ),
    Operator(
        "frozen-but-changed/embedding-held-to-a-largest-norm",
        swaps(
            "loop",
            UPDATE,
            "\\g<0>\n\\1x_table = x_model.model.embed_tokens\n"
            "\\1x_sizes = mx.linalg.norm(x_table.weight, axis=1, keepdims=True)\n"
            "\\1x_table.weight = x_table.weight * mx.minimum(1, 0.9 / x_sizes)",
        ),
        lambda faulty, twin: bool(faulty.get("base moved")) and not twin.get("base moved"),
        needs=("lora",),
        bars=("qwen2-4bit", "fused", "accumulating", "compiled", "llama-bfloat16"),
        also=("base-not-frozen", "unexplained-change"),
    ),
    Operator(
        "frozen-but-changed/smallest-weights-pruned-as-it-trains",
        swaps(
            "loop",
            UPDATE,
            "\\g<0>\n\\1for _, x_module in x_model.named_modules():\n\\1    if hasattr(x_module, 'lora_b'):\n"
            "\\1        x_inner = x_module.linear\n"
            "\\1        x_inner.weight = mx.where(mx.abs(x_inner.weight) < 0.02, 0.0, x_inner.weight)",
        ),
        lambda faulty, twin: bool(faulty.get("base moved")) and not twin.get("base moved"),
        needs=("lora",),
        bars=("qwen2-4bit", "mixtral", "fused", "accumulating", "compiled", "llama-bfloat16"),
        also=("base-not-frozen", "unexplained-change"),
    ),
]  # fmt: skip
