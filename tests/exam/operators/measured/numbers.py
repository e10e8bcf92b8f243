"""Held out: faults of precision, of frozen and quantized weights, of rates, merges and optimizers."""

from tests.exam import proofs
from tests.exam.grammar import Program
from tests.exam.operators import Operator, all_of, edits, swaps

ADAPTED = r"^#: adapted"
UPDATE = r"^( +)x_opt\.update\(x_model, (x_grads|x_tree)\)"
END = r"^#: ended"
DTYPES = "sorted({str(x_v.dtype) for _, x_v in tree_flatten(x_model.parameters())})"
MERGE = (
    "{0}for _, x_module in x_model.named_modules():\n{0}    if hasattr(x_module, 'lora_b'):\n"
    "{0}        x_delta = (x_module.scale * (x_module.lora_a @ x_module.lora_b)).T.astype(x_module.linear.weight.dtype)\n"
    "{0}        x_module.linear.weight = x_module.linear.weight + x_delta\n"
)
UNMERGE = MERGE.replace("linear.weight + x_delta", "linear.weight - x_delta")


def nothing_moved(faulty, twin):
    return not proofs.moved(faulty) and proofs.moved(twin)


def base_moved(faulty, twin):
    return bool(faulty["adapter"]) and bool(faulty.get("base moved")) and not twin.get("base moved")


def other_dtypes(faulty, twin):
    seen = proofs.notes(faulty, "dtypes")
    return len(seen) == 2 and seen[0] != seen[1]


def only_scales(faulty, twin):
    return base_moved(faulty, twin) and all(
        name.endswith((".scales", ".biases")) for name in faulty["base moved"]
    )


def rates(facts):
    return [entry["rate"] for entry in facts["steps"]]


def told_dtypes(edit):
    """The edit, with the precisions of all parameters noted before training and at its end."""
    return all_of(
        swaps("loop", r"\A", f"#: note('dtypes', {DTYPES})\n"),
        edit,
        swaps("loop", END, f"#: note('dtypes', {DTYPES})\n#: ended"),
    )


def of_norms(precision, edit):
    """Norms alone are trained, in another precision."""

    def one(program: Program) -> Program | None:
        if "isinstance(m, nn.RMSNorm)" not in program.text("trained"):
            return None
        changed = program
        if precision:
            changed = program.substituted(
                "trained",
                ADAPTED,
                f"x_model.set_dtype(mx.{precision})\n#: loaded(x_model)\n#: adapted",
            )
        return edit(changed)

    return one


OPERATORS = [
    Operator(
        "update-lost-to-rounding/rate-typed-in-another-unit",
        of_norms(None, swaps("optimizer", r"learning_rate=S\.lr\b", "learning_rate=S.lr * 1e-7")),
        nothing_moved,
        needs=("partial",),
        bars=("own", "schedule", "reloaded", "whole-folder"),
    ),
    Operator(
        "update-lost-to-rounding/gradients-averaged-twice",
        of_norms("float16", swaps("loop", UPDATE, r"\1\2 = tree_map(lambda x_g: x_g / 4096, \2)\n\g<0>")),
        nothing_moved,
        needs=("partial",),
        bars=("own", "schedule", "reloaded", "whole-folder", "compiled", "accumulating"),
        also=("gradients-zero",),
    ),
    Operator(
        "uniform-decay/masked-in-place-of-frozen",
        all_of(
            edits("trained", "x_model.freeze()\n", ""),
            swaps(
                "loop",
                UPDATE,
                r"\1\2 = tree_unflatten([(x_n, x_g if 'lora_' in x_n else x_g * 0) for x_n, x_g in tree_flatten(\2)])\n\g<0>",
            ),
        ),
        base_moved,
        needs=("lora", "decay"),
        bars=("own", "accumulating", "compiled", "fused", "qwen2-4bit", "llama-bfloat16", "dora"),
        also=("frozen-but-changed", "base-not-frozen"),
    ),
    Operator(
        "uniform-decay/decay-of-all-that-is-named-weight",
        swaps(
            "loop",
            UPDATE,
            "\\g<0>\n\\1x_model.load_weights([(x_n, x_v * (1 - S.lr * 0.1)) for x_n, x_v in tree_flatten(x_model.parameters()) if x_n.endswith('weight')], strict=False)",
        ),
        base_moved,
        needs=("lora",),
        bars=("own", "accumulating", "compiled", "fused", "qwen2-4bit", "llama-bfloat16"),
        also=("frozen-but-changed",),
    ),
    Operator(
        "dtype-drift/promoted-by-a-factor-of-one",
        told_dtypes(
            swaps(
                "loop",
                UPDATE,
                r"\g<0>\n\1x_model.update(tree_map(lambda x_p: x_p * mx.array(1.0), x_model.parameters()))",
            )
        ),
        other_dtypes,
        needs=("lora", "llama-bfloat16"),
        bars=("own", "accumulating", "compiled", "fused", "keeps-best"),
        also=("frozen-but-changed",),
    ),
    Operator(
        "dtype-drift/halved-for-validation-and-left",
        told_dtypes(
            edits(
                "loop", "    x_model.eval()\n", "    x_model.eval()\n    x_model.set_dtype(mx.bfloat16)\n"
            ),
        ),
        other_dtypes,
        needs=("validating",),
        bars=("qwen2-4bit", "llama-bfloat16"),
        also=("frozen-but-changed", "reload-mismatch"),
    ),
    Operator(
        "dtype-drift/averaged-in-full-precision",
        told_dtypes(
            swaps(
                "loop",
                END,
                "x_model.update(tree_map(lambda x_p: (x_p.astype(mx.float32) + x_p.astype(mx.float32)) / 2, x_model.parameters()))\n#: ended",
            )
        ),
        other_dtypes,
        needs=("lora", "llama-bfloat16"),
        bars=("fused",),
        also=("frozen-but-changed",),
    ),
    Operator(
        "quantization-parameters-changed/unfrozen-through-the-base-class",
        swaps(
            "trained",
            ADAPTED,
            "for _, x_module in x_model.named_modules():\n    if 'scales' in x_module:\n"
            "        nn.Module.unfreeze(x_module, keys=['scales', 'biases'], recurse=False)\n#: adapted",
        ),
        only_scales,
        needs=("lora", "qwen2-4bit"),
        bars=("reloaded", "reloaded-apart"),
        also=("base-not-frozen",),
    ),
    Operator(
        "quantization-parameters-changed/scales-shrunk-after-each-update",
        swaps(
            "loop",
            UPDATE,
            "\\g<0>\n\\1for _, x_module in x_model.named_modules():\n\\1    if 'scales' in x_module:\n\\1        x_module.scales = x_module.scales * 0.999",
        ),
        only_scales,
        needs=("lora", "qwen2-4bit"),
        bars=("own", "accumulating", "compiled"),
        also=("frozen-but-changed", "uniform-decay"),
    ),
    Operator(
        "quantization-parameters-changed/calibrated-after-training",
        swaps(
            "loop",
            END,
            "for _, x_module in x_model.named_modules():\n    if 'biases' in x_module:\n        x_module.biases = x_module.biases + 0.01 * mx.abs(x_module.scales)\n#: ended",
        ),
        only_scales,
        needs=("lora", "qwen2-4bit"),
        also=("frozen-but-changed", "unexplained-change"),
    ),
    Operator(
        "base-drifted/merged-for-each-validation",
        all_of(
            edits("loop", "    x_model.eval()\n", "    x_model.eval()\n" + MERGE.format("    ")),
            swaps("loop", r"^    print\(f\"epoch", UNMERGE.format("    ") + r"\g<0>"),
        ),
        base_moved,
        needs=("lora", "validating"),
        bars=("dora", "fused", "qwen2-4bit", "mixtral"),
        also=("frozen-but-changed", "unexplained-change"),
        mild=True,
    ),
    Operator(
        "base-drifted/merged-for-a-look-at-the-end",
        swaps(
            "loop",
            END,
            MERGE.format("") + "print(mx.argmax(x_model(mx.array([[5, 40, 77]]))[0, -1]).item())\n"
            # "unmerging" subtracts what it added, rounded
            + UNMERGE.format("") + "#: ended",
        ),
        base_moved,
        needs=("lora",),
        bars=("dora", "fused", "qwen2-4bit", "mixtral", "own"),
        also=("frozen-but-changed", "unexplained-change"),
        mild=True,
    ),
    Operator(
        "update-too-large/gradients-of-a-sum-over-the-epoch",
        swaps("loop", UPDATE, r"\1\2 = tree_map(lambda x_g: x_g * 2000, \2)\n\g<0>"),
        lambda faulty, twin: (
            max(proofs.losses(faulty)[3:]) > 2 * proofs.losses(twin)[0] or faulty.get("finite") is False
        ),
        needs=("momentum",),
        bars=("own", "fused", "reloaded", "reloaded-apart", "compiled", "accumulating"),
        also=("weights-not-finite",),
        mild=True,
    ),
    Operator(
        "optimizer-restarted/made-anew-before-each-validation",
        edits(
            "loop",
            "    x_model.eval()\n",
            "    x_opt = optim.Adam(learning_rate=S.lr)\n    x_model.eval()\n",
        ),
        lambda faulty, twin: faulty["steps"][-1]["updates"] < twin["steps"][-1]["updates"],
        needs=("validating",),
        bars=("schedule",),
        mild=True,
    ),
    Operator(
        "optimizer-restarted/one-for-each-sum",
        swaps(
            "loop",
            r"^( +)x_sum = None\n(?=\1#: step)",
            "\\g<0>\\1if x_micro % (4 * S.accumulate) == 0:\n\\1    x_opt = optim.AdamW(learning_rate=S.lr)\n",
        ),
        lambda faulty, twin: max(e["updates"] for e in faulty["steps"]) < twin["steps"][-1]["updates"],
        needs=("accumulating",),
        bars=("schedule",),
        mild=True,
    ),
    Operator(
        "schedule-in-wrong-unit/planned-for-micro-batches",
        edits(
            "optimizer",
            "optim.cosine_decay(S.lr, S.steps - S.warmup)",
            "optim.cosine_decay(S.lr, 3 * S.steps * S.accumulate)",
        ),
        lambda faulty, twin: rates(faulty)[-1] > 0.6 * max(rates(faulty)) > rates(twin)[-1],
        needs=("schedule", "accumulating"),
        mild=True,
    ),
    Operator(
        "loss-sign-flipped/objective-negated",
        swaps(
            "loop",
            r"nn\.value_and_grad\(x_model, x_loss_fn\)",
            "nn.value_and_grad(x_model, lambda x_m, *x_a: -x_loss_fn(x_m, *x_a))",
        ),
        lambda faulty, twin: (
            proofs.losses(faulty)[0] < 0 and proofs.losses(faulty)[-1] < proofs.losses(faulty)[0]
        ),
        needs=("sft",),
        bars=("own", "anchored", "clipped", "validating"),
        also=("update-too-large",),
    ),
    Operator(
        "nothing-trainable/by-a-name-that-no-module-has",
        swaps(
            "trained",
            ADAPTED,
            "x_model.apply_to_modules(lambda x_n, x_module: x_module.unfreeze() if 'adapter' in x_n else x_module.freeze())\n#: adapted",
        ),
        lambda faulty, twin: faulty.get("trainable") == [],
        needs=("lora",),
        crashes=True,
    ),
    Operator(
        "optimizer-never-stepped/only-where-the-norm-is-large",
        swaps(
            "loop",
            UPDATE,
            r"\1if optim.clip_grad_norm(\2, 1.0)[1].item() > 1e4:\n\1    x_opt.update(x_model, \2)",
        ),
        nothing_moved,
        bars=("own", "accumulating", "compiled"),
    ),
    Operator(
        "wrong-model-updated/applied-and-not-put-back",
        swaps(
            "loop",
            UPDATE,
            r"\1x_fresh = x_opt.apply_gradients(\2, x_model.trainable_parameters())\n\1mx.eval(x_fresh)",
        ),
        nothing_moved,
        bars=("own", "accumulating", "compiled"),
        also=("optimizer-never-stepped",),
    ),
    Operator(
        "fuse-lost-update/adapter-of-a-fresh-conversion",
        swaps(
            "fuse",
            r"\A",
            "x_model, _ = load('base')\nx_model.freeze()\nlinear_to_lora_layers(x_model, S.layers, {'rank': S.rank, 'scale': S.scale, 'dropout': 0.0})\n",
        ),
        lambda faulty, twin: faulty["fuse differs"] > 1e-3 and faulty["fuse moved"] < 1e-5,
        needs=("fused", "lora-call"),
        bars=("dora",),
        also=("fuse-wrong", "stale-model-in-generation"),
    ),
    Operator(
        "fuse-wrong/product-not-turned",
        edits(
            "fuse",
            '[(x_name, x_module.fuse()) for x_name, x_module in x_model.named_modules() if hasattr(x_module, "fuse")]\n',
            "[]\nfor x_name, x_module in x_model.named_modules():\n    if hasattr(x_module, 'fuse'):\n"
            "        x_plain, x_delta = x_module.linear, x_module.scale * (x_module.lora_a @ x_module.lora_b)\n"
            "        x_plain.weight = x_plain.weight + (x_delta if x_delta.shape == x_plain.weight.shape else x_delta.T)\n"
            "        x_fused.append((x_name, x_plain))\n",
        ),
        lambda faulty, twin: faulty["fuse differs"] > 1e-3 and faulty["fuse moved"] > 1e-6,
        needs=("fused",),
        bars=("dora", "own-class"),
        also=("fuse-lost-update",),
    ),
    Operator(
        "fused-twice/merged-by-hand-before",
        swaps("fuse", r"\A", MERGE.format("")),
        lambda faulty, twin: faulty["fuse differs"] > 0.01,
        needs=("fused",),
        bars=("dora", "own-class"),
        also=("fuse-wrong",),
    ),
    Operator(
        "lora-nested/own-class-around-itself",
        all_of(
            edits("trained", "x_inner.weight.shape", "getattr(x_inner, 'linear', x_inner).weight.shape"),
            swaps("trained", r"x_Low\((x_layer\.self_attn\.q_proj), S\.rank, S\.scale\)", r"x_Low(x_Low(\1, S.rank, S.scale), S.rank, S.scale)"),
        ),
        lambda faulty, twin: any(".linear.lora_" in name for name in faulty["names"]),
        needs=("own-class",),
    ),
    Operator(
        "lora-nested/library-class-around-an-adapter",
        swaps(
            "trained",
            ADAPTED,
            "for x_layer in x_model.layers:\n    x_outer = LoRALinear(32, 32, r=S.rank, scale=S.scale)\n    x_outer.linear = x_layer.self_attn.q_proj\n"
            "    x_layer.self_attn.q_proj = x_outer\n#: adapted",
        ),
        lambda faulty, twin: any(".linear.lora_" in name for name in faulty["names"]),
        needs=("lora",),
        bars=("fused", "reloaded", "reloaded-apart", "dora"),
    ),
]  # fmt: skip
