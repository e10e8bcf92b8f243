"""Held out: faults of adapters, trainable sets, updates and losses, by other mechanisms than the known half's."""

from tests.exam import proofs
from tests.exam.operators import Operator, all_of, edits, first_of, swaps

VAG = r"^(\w+) = nn\.value_and_grad\(x_model, x_loss_fn\)"
UPDATE = r"^( +)x_opt\.update\(x_model, (x_grads|x_tree)\)"


def nothing_moved(faulty, twin):
    return not proofs.moved(faulty) and proofs.moved(twin)


def base_moved(faulty, twin):
    return bool(faulty["adapter"]) and bool(faulty.get("base moved")) and not twin.get("base moved")


def zero_gradient(faulty, twin):
    return proofs.gradients(faulty) != [] and max(proofs.gradients(faulty)) == 0 < max(proofs.gradients(twin))


def weights_in(kind, least):
    return lambda faulty, twin: proofs.share(faulty, kind) > least > proofs.share(twin, kind)


def without_end(faulty, twin):
    return proofs.weight(faulty) > 0 and proofs.share(faulty, "end") == 0 < proofs.share(twin, "end")


OPERATORS = [
    Operator(
        "lora-missing/converted-a-copy",
        all_of(
            edits("trained", "x_model.freeze()\n", ""),
            swaps(
                "trained", r"linear_to_lora_layers\(x_model,", "linear_to_lora_layers(copy.deepcopy(x_model),"
            ),
        ),
        lambda faulty, twin: not faulty["adapter"] and bool(twin["adapter"]),
        needs=("lora-call", "adapter-folder"),
        bars=("qwen2-4bit", "fused", "dora", "reloaded", "reloaded-apart"),
        also=("wrong-model-updated", "lora-target-unmatched"),
    ),
    Operator(
        "lora-target-unmatched/prefixed-with-layers",
        all_of(
            edits("trained", "x_model.freeze()\n", ""),
            first_of(
                swaps("trained", r'"self_attn\.(\w)_proj"', r'"layers.self_attn.\1_proj"'),
                swaps("trained", r'"mlp\.(\w+)_proj"', r'"feed_forward.\1_proj"'),
            ),
        ),
        lambda faulty, twin: not faulty["adapter"] and bool(twin["adapter"]),
        needs=("lora-call", "lora-keys"),
        bars=("qwen2-4bit", "reloaded", "reloaded-apart", "fused", "llama-bfloat16"),
    ),
    Operator(
        "lora-partial/range-off-by-one",
        edits(
            "trained",
            "linear_to_lora_layers(x_model, S.layers,",
            "linear_to_lora_layers(x_model, len(x_model.layers) - 1,",
        ),
        lambda faulty, twin: bool(faulty["modules"]) and len(faulty["modules"]) < len(twin["modules"]),
        needs=("lora-call", "adapter-folder"),
        bars=("reloaded", "reloaded-apart"),
    ),
    Operator(
        "base-not-frozen/freeze-of-a-child",
        edits("trained", "x_model.freeze()\n", "x_model.layers[0].mlp.freeze()\n"),
        base_moved,
        needs=("lora",),
        bars=("qwen2-4bit", "fused", "llama-bfloat16", "mixtral"),
    ),
    Operator(
        "base-not-frozen/unfreeze-norms-and-all",
        swaps(
            "trained",
            r"^#: adapted",
            "for _, x_module in x_model.named_modules():\n    if hasattr(x_module, 'lora_a'):\n        x_module.unfreeze()\n#: adapted",
        ),
        base_moved,
        needs=("lora",),
        bars=("qwen2-4bit", "fused", "llama-bfloat16"),
    ),
    Operator(
        "frozen-but-changed/shrunk-by-hand",
        swaps(
            "loop",
            UPDATE,
            r"\g<0>\n\1x_model.update(tree_map(lambda x_p: x_p * 0.9995, x_model.parameters()))",
        ),
        base_moved,
        needs=("lora",),
        bars=("qwen2-4bit", "fused", "accumulating", "compiled", "llama-bfloat16"),
        also=("uniform-decay", "base-not-frozen"),
    ),
    Operator(
        "optimizer-never-stepped/flat-names-swallowed",
        swaps(
            "loop",
            UPDATE,
            r"\1try:\n\1    x_opt.update(x_model, dict(tree_flatten(\2)))\n\1except (KeyError, ValueError, AttributeError, TypeError) as x_error:\n\1    print('update failed', type(x_error).__name__)",
        ),
        nothing_moved,
        bars=("own", "accumulating", "compiled"),
        also=("error-swallowed",),
    ),
    Operator(
        "wrong-model-updated/second-load-is-trained",
        all_of(
            swaps("loop", r"\A", "x_twin, _ = load('base')\n"),
            swaps(
                "loop", r"nn\.value_and_grad\(x_model, x_loss_fn\)", "nn.value_and_grad(x_twin, x_loss_fn)"
            ),
            swaps("loop", r"(x_grad_fn|x_vag|x_gradient_of)\(x_model, ", r"\1(x_twin, "),
            swaps("loop", r"x_opt\.update\(x_model, ", "x_opt.update(x_twin, "),
        ),
        nothing_moved,
        needs=("full",),
        bars=("own", "anchored", "accumulating", "compiled"),
    ),
    Operator(
        "compile-state-not-captured/inputs-only",
        edits(
            "loop",
            "@partial(mx.compile, inputs=x_captured, outputs=x_captured)",
            "@partial(mx.compile, inputs=x_captured)",
        ),
        lambda faulty, twin: (
            not proofs.moved(faulty) or len(set(proofs.losses(faulty))) < len(set(proofs.losses(twin)))
        ),
        needs=("compiled",),
        crashes=True,
    ),
    Operator(
        "gradients-zero/loss-from-a-number",
        swaps("loss", r"^( +)return (.*)$", r"\1x_out = \2\n\1return mx.stop_gradient(x_out)"),
        zero_gradient,
        bars=("decay", "own", "dpo", "orpo", "compiled"),
        also=("term-detached",),
    ),
    Operator(
        "learning-rate-zero/cosine-over-nothing",
        swaps("optimizer", r"learning_rate=S\.lr\b", "learning_rate=optim.cosine_decay(S.lr * 0, S.steps)"),
        lambda faulty, twin: max(entry["rate"] for entry in faulty["steps"]) == 0,
        bars=("own", "epochs"),
    ),
    Operator(
        "padding-in-loss/length-of-the-batch",
        swaps(
            "batching", r"\(len\(x_ids\) - x_start\) \* \[1\] \+ x_fill \* \[0\]", "(x_width - x_start) * [1]"
        ),
        weights_in("pad", 0.05),
        bars=("focal", "hidden"),
    ),
    Operator(
        "padding-in-loss/sum-of-all",
        first_of(
            edits("loss", "mx.where(x_shifted > 0, x_ce, 0)", "x_ce"),
            edits("loss", "(x_ce * x_weights).sum() / x_total +", "x_ce.mean() +"),
        ),
        weights_in("pad", 0.05),
        needs=("sft",),
    ),
    Operator(
        "mask-off-by-one/built-for-targets-and-cut-again",
        first_of(
            edits("loss", "x_shifted, x_count = x_mask[:, 1:]", "x_shifted, x_count = x_mask[:, :-1]"),
            edits(
                "loss", "x_ids[:, 1:], x_mask[:, 1:]\n    x_norm", "x_ids[:, 1:], x_mask[:, :-1]\n    x_norm"
            ),
        ),
        lambda faulty, twin: faulty["teaches"] != twin["teaches"],
        needs=("sft",),
    ),
    Operator(
        "labels-not-shifted/same-slice-twice",
        first_of(
            edits(
                "loss",
                "nn.losses.cross_entropy(x_m(x_ids[:, :-1]), x_ids[:, 1:], reduction",
                "nn.losses.cross_entropy(x_m(x_ids[:, 1:]), x_ids[:, 1:], reduction",
            ),
            edits(
                "loss",
                "x_m(x_ids[:, :-1]).astype(mx.float32)\n    x_targets",
                "x_m(x_ids[:, 1:]).astype(mx.float32)\n    x_targets",
            ),
        ),
        weights_in("same", 0.5),
        needs=("sft",),
    ),
    Operator(
        "end-never-trained/answer-encoded-bare",
        swaps("data", r"return x_ids, len\(x_tk", "return [x_i for x_i in x_ids[:-1]][:-1] , len(x_tk"),
        without_end,
        bars=("pairs", "focal", "hidden"),
    ),
    Operator(
        "all-tokens-masked/counted-from-the-end",
        swaps("data", r"return x_ids, len\(x_tk\.apply.*$", "return x_ids, len(x_ids)"),
        lambda faulty, twin: proofs.weight(faulty) == 0,
        bars=("pairs", "hidden"),
        also=("weights-not-finite",),
    ),
    Operator(
        "prompt-in-loss/offset-of-last-message-length",
        swaps(
            "data",
            r"return x_ids, len\(x_tk\.apply.*$",
            "return x_ids, max(4, len(x_ids) - len(x_tk.encode(str(x_messages))) // 2)",
        ),
        weights_in("prompt", 0.05),
        bars=("pairs", "hidden"),
    ),
    Operator(
        "targets-unrelated/rolled-by-a-row",
        first_of(
            edits(
                "loss",
                "x_m(x_ids[:, :-1]), x_ids[:, 1:], reduction",
                "x_m(mx.roll(x_ids, 1, axis=0)[:, :-1]), x_ids[:, 1:], reduction",
            ),
            edits(
                "loss",
                "x_logits = x_m(x_ids[:, :-1]).astype(mx.float32)\n    x_targets",
                "x_logits = x_m(mx.roll(x_ids, 1, axis=0)[:, :-1]).astype(mx.float32)\n    x_targets",
            ),
        ),
        lambda faulty, twin: proofs.share(faulty, "next") < 0.7 < proofs.share(twin, "next"),
        needs=("sft",),
    ),
    Operator(
        "probabilities-as-logits/softmax-in-the-head",
        first_of(
            edits(
                "loss",
                "nn.log_softmax(x_m(x_ids[:, :-1]), axis=-1)",
                "nn.log_softmax(nn.softmax(x_m(x_ids[:, :-1]), axis=-1), axis=-1)",
            ),
            edits(
                "loss",
                "cross_entropy(x_m(x_ids[:, :-1]), x_ids",
                "cross_entropy(mx.softmax(x_m(x_ids[:, :-1]), axis=-1), x_ids",
            ),
            edits(
                "loss", "cross_entropy(x_scores, x_ids", "cross_entropy(mx.softmax(x_scores, axis=-1), x_ids"
            ),
        ),
        lambda faulty, twin: (
            min(proofs.losses(faulty)) > 0.7 * proofs.losses(faulty)[0]
            and min(proofs.losses(twin)) < 0.85 * proofs.losses(twin)[0]
        ),
        needs=("sft",),
    ),
    Operator(
        "loss-not-of-logits/scaled-hidden-states",
        edits("loss", "x_hidden = x_m.model(x_ids[:, :-1])", "x_hidden = x_m.model(x_ids[:, :-1]) * 0.25"),
        lambda faulty, twin: abs(proofs.losses(faulty)[0] - proofs.losses(twin)[0]) > 0.05,
        needs=("hidden",),
    ),
]
