"""Faults of adapters and trainable sets."""

from tests.exam.operators import Operator, all_of, edits, first_of, swaps

CONVERT = r"^linear_to_lora_layers\((?:.*\n)*?(?=#:|print)"
FREEZE = "x_model.freeze()\n"


def no_adapter(faulty, twin):
    return not faulty["adapter"] and bool(twin["adapter"])


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
            edits("trained", FREEZE, ""),
            swaps(
                "trained",
                r"^(linear_to_lora_layers\((?:.*\n)*?)(?=#:|print)",
                r"if getattr(x_model, 'peft_config', None) is not None:\n    x_model.freeze()\n",
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
]
