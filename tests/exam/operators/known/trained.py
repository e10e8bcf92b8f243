"""Faults of adapters, trainable sets and updates."""

from tests.exam import proofs
from tests.exam.operators import Operator, all_of, edits, first_of, swaps

CONVERT = r"^linear_to_lora_layers\((?:.*\n)*?(?=#:|print)"
FREEZE = "x_model.freeze()\n"


def no_adapter(faulty, twin):
    return not faulty["adapter"] and bool(twin["adapter"])


def nothing_moved(faulty, twin):
    return not proofs.moved(faulty) and proofs.moved(twin)


def base_moved(faulty, twin):
    return bool(faulty["adapter"]) and bool(faulty.get("base moved")) and not twin.get("base moved")


def sites(faulty, twin):
    return bool(faulty["modules"]) and faulty["modules"] != twin["modules"]


def nested(facts):
    return any(".linear.linear." in f".{name}." or ".linear.lora_" in name for name in facts["names"])


OPERATORS = [
    Operator(
        "lora-missing/flag-only",
        all_of(
            swaps(
                "trained", CONVERT, "x_model.has_adapter = True\nprint('adapter of rank', S.rank, 'added')\n"
            ),
            edits("trained", FREEZE, ""),
        ),
        no_adapter,
        needs=("lora-call", "adapter-folder"),
        bars=("qwen2-4bit", "fused"),
        also=("save-failed",),
    ),
    Operator(
        "lora-missing/factory-skips",
        all_of(
            swaps(
                "trained",
                r"^(linear_to_lora_layers\((?:.*\n)*?)(?=#:|print)",
                r"if getattr(x_model, 'peft_config', None) is not None:\n    x_model.freeze()\n",
            ),
            edits(
                "trained",
                FREEZE,
                "",
            ),
        ),
        no_adapter,
        needs=("lora-call", "adapter-folder"),
        bars=("qwen2-4bit", "fused", "dora"),
    ),
    Operator(
        "lora-target-unmatched/leaf-names",
        all_of(
            edits("trained", FREEZE, ""),
            first_of(
                swaps("trained", r'"keys": \[[^]]*\]', '"keys": ["q_proj", "v_proj"]'),
                edits(
                    "trained", '"dropout": S.dropout}', '"dropout": S.dropout, "keys": ["q_proj", "v_proj"]}'
                ),
            ),
        ),
        no_adapter,
        needs=("lora-call",),
        bars=("qwen2-4bit", "reloaded", "fused", "llama-bfloat16"),
    ),
    Operator(
        "lora-target-unmatched/walk-over-dict",
        swaps(
            "trained",
            r"^linear_to_lora_layers\((?:.*\n)*?(?=#:|print)",
            "for x_name, x_child in list(vars(x_model).items()):\n"
            "    if isinstance(x_child, nn.Linear):\n"
            "        setattr(x_model, x_name, LoRALinear.from_base(x_child, r=S.rank, scale=S.scale, dropout=S.dropout))\n",
        ),
        lambda faulty, twin: not faulty.get("adapter") and bool(twin["adapter"]),
        needs=("lora-call",),
        bars=("reloaded", "fused"),
        crashes=True,
        also=("lora-missing", "nothing-trainable"),
    ),
    Operator(
        "lora-partial/one-layer-of-all",
        edits("trained", "linear_to_lora_layers(x_model, S.layers,", "linear_to_lora_layers(x_model, 1,"),
        sites,
        needs=("lora-call", "adapter-folder"),
        bars=("reloaded",),
    ),
    Operator(
        "lora-partial/walk-skips-first",
        edits("trained", "for x_layer in x_model.layers:", "for x_layer in x_model.layers[1:]:"),
        sites,
        needs=("lora-walk", "adapter-folder"),
        bars=("reloaded",),
    ),
    Operator(
        "lora-partial/keys-ignored",
        swaps(
            "trained",
            r', "keys": \["self_attn.q_proj", "self_attn.v_proj"\]\}',
            ', "target_modules": ["self_attn.q_proj", "self_attn.v_proj"]}',
        ),
        sites,
        needs=("lora-call",),
        bars=("reloaded", "mixtral"),
    ),
    Operator(
        "lora-nested/converted-twice",
        swaps(
            "trained",
            CONVERT,
            r"\g<0>linear_to_lora_layers(x_model, S.layers, {'rank': S.rank, 'scale': S.scale, 'dropout': S.dropout})\n",
        ),
        lambda faulty, twin: nested(faulty) and not nested(twin),
        needs=("lora-call",),
        bars=("dora", "reloaded", "fused", "mixtral", "qwen2-4bit"),
    ),
    Operator(
        "lora-nested/walk-twice",
        swaps(
            "trained",
            r"^(for x_layer in x_model\.layers:\n(?:    .*\n)+)",
            r"for _ in range(2):\n    x_model.freeze()\n\1\1",
        ),
        lambda faulty, twin: nested(faulty) and not nested(twin),
        needs=("lora-walk",),
        bars=("reloaded", "fused"),
    ),
    Operator(
        "lora-starts-nonzero/b-from-normal",
        swaps(
            "trained",
            r"^#: adapted",
            "for _, x_m in x_model.named_modules():\n    if 'lora_b' in x_m:\n        x_m.lora_b = mx.random.normal(x_m.lora_b.shape) * 0.1\n#: adapted",
        ),
        lambda faulty, twin: faulty["fresh effect"] > 0.01 > twin["fresh effect"],
        needs=("lora",),
        bars=("fused",),
    ),
    Operator(
        "lora-starts-nonzero/b-like-a",
        swaps(
            "trained",
            r"^#: adapted",
            "for _, x_m in x_model.named_modules():\n    if hasattr(x_m, 'lora_b'):\n"
            "        x_m.lora_b = mx.random.uniform(low=-0.2, high=0.2, shape=x_m.lora_b.shape)\n#: adapted",
        ),
        lambda faulty, twin: faulty["fresh effect"] > 0.01 > twin["fresh effect"],
        needs=("lora",),
        bars=("fused",),
    ),
    Operator(
        "adapter-partly-frozen/a-only",
        swaps("trained", r"^#: adapted", "x_model.freeze(keys=['lora_b'], strict=False)\n#: adapted"),
        lambda faulty, twin: not any("lora_b" in name for name in faulty["trainable"]),
        needs=("lora",),
        also=("lora-inert", "adapter-incomplete"),
        bars=("reloaded", "dora"),
        mild=True,
    ),
    Operator(
        "adapter-partly-frozen/first-layer",
        swaps("trained", r"^#: adapted", "x_model.layers[0].freeze()\n#: adapted"),
        lambda faulty, twin: len(faulty["trainable"]) < len(twin["trainable"]),
        needs=("lora",),
        bars=("reloaded",),
        also=("adapter-incomplete",),
        mild=True,
    ),
    Operator(
        "base-not-frozen/forgotten",
        edits("trained", FREEZE, ""),
        base_moved,
        needs=("lora",),
        bars=("qwen2-4bit", "fused", "llama-bfloat16"),
    ),
    Operator(
        "base-not-frozen/unfreeze-without-keys",
        swaps(
            "trained",
            r"^#: adapted",
            "for x_layer in x_model.layers:\n    x_layer.self_attn.unfreeze()\n#: adapted",
        ),
        base_moved,
        needs=("lora",),
        bars=("qwen2-4bit", "fused", "llama-bfloat16"),
    ),
    Operator(
        "base-not-frozen/train-mode-unfreezes",
        swaps("loop", r"^x_model\.train\(\)", "x_model.unfreeze()\nx_model.train()"),
        base_moved,
        needs=("lora",),
        bars=("qwen2-4bit", "fused", "llama-bfloat16"),
    ),
    Operator(
        "frozen-but-changed/raw-value-and-grad",
        swaps(
            "loop",
            r"x_grad_fn = nn\.value_and_grad\(x_model, x_loss_fn\)",
            "x_raw = mx.value_and_grad(lambda x_p, *x_args: (x_model.update(x_p), x_loss_fn(x_model, *x_args))[1])\n"
            "x_grad_fn = lambda x_m, *x_args: x_raw(x_m.parameters(), *x_args)",
        ),
        base_moved,
        needs=("lora", "eager"),
        bars=("qwen2-4bit", "fused", "llama-bfloat16"),
        also=("base-not-frozen",),
    ),
    Operator(
        "frozen-but-changed/norm-scaled-in-place",
        swaps(
            "loop",
            r"^(\s*)mx\.eval\(x_model\.parameters\(\), x_opt\.state(, x_value)?\)",
            r"\1x_model.layers[0].input_layernorm.weight *= 0.999\n\g<0>",
        ),
        base_moved,
        needs=("lora", "eager"),
        bars=("fused", "llama-bfloat16"),
        also=("unexplained-change", "base-not-frozen"),
    ),
    Operator(
        "nothing-trainable/freeze-after",
        swaps("trained", r"^#: adapted", "x_model.freeze()\n#: adapted"),
        lambda faulty, twin: faulty.get("trainable") == [],
        needs=("lora",),
        crashes=True,
    ),
    Operator(
        "nothing-trainable/swallowed",
        all_of(
            swaps("trained", r"^#: adapted", "x_model.freeze()\n#: adapted"),
            swaps(
                "loop",
                r"^( +)x_value, x_grads = x_grad_fn\(x_model, \*x_batch\)\n",
                r"\1try:\n\1    x_value, x_grads = x_grad_fn(x_model, *x_batch)\n\1except ValueError as x_error:\n\1    print('skipped:', x_error)\n\1    break\n",
            ),
            swaps("loop", r"^while x_done < S.steps:", "for _ in range(3):"),
        ),
        lambda faulty, twin: faulty.get("trainable") == [],
        needs=("lora", "eager"),
        bars=("anchored", "epochs"),
    ),
    Operator(
        "optimizer-never-stepped/every-thousandth",
        swaps(
            "loop",
            r"^( +)x_opt\.update\(x_model, x_grads\)",
            r"\1if (x_done + 1) % 1000 == 0:\n\1    x_opt.update(x_model, x_grads)",
        ),
        nothing_moved,
        needs=("eager",),
        bars=("epochs",),
    ),
    Operator(
        "optimizer-never-stepped/filter-of-top-level-names",
        swaps(
            "loop",
            r"^( +)x_opt\.update\(x_model, x_grads\)",
            r"\1x_grads = {x_k: x_v for x_k, x_v in x_grads.items() if 'lora' in x_k}\n\1if x_grads:\n\1    x_opt.update(x_model, x_grads)",
        ),
        nothing_moved,
        needs=("eager", "lora"),
        also=("gradient-discarded",),
    ),
    Operator(
        "optimizer-never-stepped/last-part-never-full",
        edits("loop", "if x_micro % S.accumulate == 0:", "if x_micro % (S.accumulate * 1000) == 0:"),
        nothing_moved,
        needs=("accumulating",),
    ),
    Operator(
        "wrong-model-updated/deep-copy",
        all_of(
            swaps("loop", r"\A", "x_worker = copy.deepcopy(x_model)\n"),
            swaps(
                "loop",
                r"x_grad_fn = nn\.value_and_grad\(x_model, x_loss_fn\)",
                "x_grad_fn = nn.value_and_grad(x_worker, x_loss_fn)",
            ),
            swaps("loop", r"x_grad_fn\(x_model, ", "x_grad_fn(x_worker, "),
            swaps("loop", r"x_opt\.update\(x_model, ", "x_opt.update(x_worker, "),
            swaps("loop", r"mx\.eval\(x_model\.parameters\(\)", "mx.eval(x_worker.parameters()"),
        ),
        nothing_moved,
        needs=("eager",),
        bars=("dropout", "unsaved"),
    ),
    Operator(
        "compile-state-not-captured/nothing",
        edits("loop", "@partial(mx.compile, inputs=x_captured, outputs=x_captured)", "@mx.compile"),
        lambda faulty, twin: len(set(proofs.losses(faulty)[::4])) <= 3 or not proofs.moved(faulty),
        needs=("compiled",),
        crashes=True,
    ),
    Operator(
        "compile-state-not-captured/outputs-only",
        edits(
            "loop",
            "@partial(mx.compile, inputs=x_captured, outputs=x_captured)",
            "@partial(mx.compile, outputs=x_captured)",
        ),
        lambda faulty, twin: min(proofs.losses(faulty)[-3:]) > min(proofs.losses(twin)[-3:]) + 0.1,
        needs=("compiled",),
    ),
    Operator(
        "compile-state-not-captured/model-left-out",
        edits(
            "loop",
            "@partial(mx.compile, inputs=x_captured, outputs=x_captured)",
            "@partial(mx.compile, inputs=x_captured[1:], outputs=x_captured)",
        ),
        lambda faulty, twin: min(proofs.losses(faulty)[-3:]) > min(proofs.losses(twin)[-3:]) + 0.1,
        needs=("compiled",),
    ),
    Operator(
        "gradients-zero/logits-stopped",
        swaps("loss", r"(x_logits = )(x_m\(.*)$", r"\1mx.stop_gradient(\2)"),
        lambda faulty, twin: proofs.gradients(faulty) != [] and max(proofs.gradients(faulty)) == 0,
        needs=("logits", "eager"),
        bars=("decay",),
        also=("term-detached",),
    ),
    Operator(
        "gradients-zero/forward-outside",
        all_of(
            swaps(
                "loop",
                r"^( +)x_value, x_grads = x_grad_fn\(x_model, \*x_batch\)",
                r"\1x_known = x_loss_fn(x_model, *x_batch)\n\1x_value, x_grads = x_grad_fn(x_model, x_known)",
            ),
            swaps(
                "loop",
                r"x_grad_fn = nn\.value_and_grad\(x_model, x_loss_fn\)",
                "x_grad_fn = nn.value_and_grad(x_model, lambda x_m, x_v: x_v * 1.0)",
            ),
        ),
        lambda faulty, twin: proofs.gradients(faulty) != [] and max(proofs.gradients(faulty)) == 0,
        needs=("eager",),
        bars=("decay", "anchored"),
    ),
    Operator(
        "learning-rate-zero/integer-division",
        swaps("optimizer", r"learning_rate=S\.lr\b", "learning_rate=S.lr // 1"),
        lambda faulty, twin: max(entry["rate"] for entry in faulty["steps"]) == 0,
        bars=("own",),
    ),
    Operator(
        "learning-rate-zero/rounded",
        swaps("optimizer", r"learning_rate=S\.lr\b", "learning_rate=round(S.lr, 2)"),
        lambda faulty, twin: max(entry["rate"] for entry in faulty["steps"]) == 0,
        bars=("own", "partial"),
    ),
    Operator(
        "learning-rate-zero/warm-up-from-zero-steps",
        swaps(
            "loop",
            r"^( +)x_opt\.update\(",
            r"\1x_opt.learning_rate = S.lr * min(1, x_done // 1000)\n\1x_opt.update(",
        ),
        lambda faulty, twin: max(entry["rate"] for entry in faulty["steps"]) == 0,
        needs=("eager",),
        bars=("epochs", "schedule"),
    ),
    Operator(
        "optimizer-restarted/each-epoch",
        swaps("loop", r"^( +)x_model\.train\(\)", r"\1x_opt = optim.AdamW(learning_rate=S.lr)\n\g<0>"),
        lambda faulty, twin: faulty["steps"][-1]["updates"] < twin["steps"][-1]["updates"],
        needs=("epochs",),
        mild=True,
    ),
    Operator(
        "optimizer-restarted/each-pass",
        swaps(
            "loop",
            r"^(    )for x_batch in x_batches\(x_rows, x_tok\):",
            r"\1x_opt = optim.Adam(learning_rate=S.lr)\n\g<0>",
        ),
        lambda faulty, twin: faulty["steps"][-1]["updates"] < twin["steps"][-1]["updates"],
        needs=("eager",),
        bars=("epochs", "schedule"),
        mild=True,
    ),
    Operator(
        "accumulation-mismatch/summed",
        all_of(
            edits("loop", "tree_map(lambda a: a / S.accumulate, x_sum)", "x_sum"),
            swaps(
                "loop",
                r"^( +)x_sum = None\n",
                r"\1#: note('applied', optim.clip_grad_norm(x_sum, 1e9)[1])\n\g<0>",
            ),
        ),
        lambda faulty, twin: sum(proofs.notes(faulty, "applied")) > 1.2 * sum(proofs.gradients(faulty)),
        needs=("accumulating",),
        mild=True,
    ),
    Operator(
        "gradient-discarded/clipped-to-zero",
        first_of(
            edits("loop", "optim.clip_grad_norm(x_grads, S.clip)", "optim.clip_grad_norm(x_grads, 0.0)"),
            swaps(
                "loop",
                r"^( +)x_opt\.update\(x_model, x_grads\)",
                r"\1x_grads, _ = optim.clip_grad_norm(x_grads, 0)\n\g<0>",
            ),
        ),
        nothing_moved,
        needs=("eager",),
        bars=("decay",),
    ),
    Operator(
        "gradient-discarded/nan-guard-zeros-all",
        swaps(
            "loop",
            r"^( +)x_opt\.update\(x_model, x_grads\)",
            r"\1x_grads = tree_map(lambda g: mx.where(mx.isfinite(g), 0, g), x_grads)\n\g<0>",
        ),
        nothing_moved,
        needs=("eager",),
        bars=("decay",),
    ),
    Operator(
        "weights-not-finite/rate-too-high",
        swaps(
            "loop",
            r"^( +)x_opt\.update\(x_model, x_grads\)",
            r"\1x_grads = tree_map(lambda g: g / (mx.abs(g).max() * 0), x_grads)\n\g<0>",
        ),
        lambda faulty, twin: faulty.get("finite") is False,
        needs=("eager",),
        bars=("reloaded",),
    ),
    Operator(
        "loss-sign-flipped/minus-too-much",
        first_of(
            swaps("loss", r"return -\((.*)$", r"return (\1"),
            swaps("loss", r"return \(x_(ce|nll)(.*)$", r"return -(x_\1\2"),
            swaps("loss", r"return x_rowwise\.mean\(\)", "return -x_rowwise.mean()"),
        ),
        lambda faulty, twin: (
            proofs.losses(faulty)[0] < 0 and proofs.losses(faulty)[-1] < proofs.losses(faulty)[0]
        ),
        needs=("logits",),
        bars=("own",),
    ),
]
