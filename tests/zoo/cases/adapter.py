"""Adapters that are missing, elsewhere, twice, without effect, at another scale, or not neutral when fresh."""

from tests.zoo.evaluated import ALL, FINITE, SET, STEPPED
from tests.zoo.proofs import CLASSES, LOOP, MIXED, PIPELINE
from tests.zoo.zoo import Case

TAUGHT = {"taught": True}

LLAMA = {"model_type": "llama", "taught": True}

AFTER = (
    "base-weights-overwritten",
    "full-weights-trained",
    "adapter-not-loaded",
    "save-failed",
    "reload-mismatch",
    "adapter-incomplete",
)

NOTHING = (
    "nothing-trainable",
    "optimizer-never-stepped",
    "parameters-unchanged",
    "error-swallowed",
    "output-unchanged",
    "save-failed",
)

FOLLOWS = (
    "base-weights-overwritten",
    "full-weights-trained",
    "reload-mismatch",
    "adapter-incomplete",
    "adapter-not-loaded",
    "save-failed",
)

UNMOVED = (
    "parameters-unchanged",
    "lora-inert",
    "output-unchanged",
    "saved-untrained",
    "loss-not-decreasing",
    "loss-constant",
)

CASES = [
    Case(
        "missing-classes",
        "classes",
        ("lora-missing",),
        (("        self.manager.attach()\n", "        self.manager.attached = True\n"),),
        CLASSES + "fault = not adapters",
        AFTER,
        model=LLAMA,
    ),
    Case(
        "missing-loop",
        "loop",
        ("lora-missing",),
        (("model.freeze()\nlinear_to_lora_layers(model, LAYERS, LORA)\n", ""),),
        LOOP + "fault = not adapters",
        AFTER,
        model=TAUGHT,
    ),
    Case(
        "missing-pipeline",
        "pipeline",
        ("lora-missing",),
        (('        linear_to_lora_layers(model, self.config["layers"], self.config["lora"])\n', ""),),
        PIPELINE + "fault = not adapters",
        (*AFTER, *NOTHING),
        model={"taught": True, "tied": True},
    ),
    Case(
        "unmatched-api",
        "api",
        ("lora-target-unmatched",),
        (
            (
                '"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"',
                '"q_proj", "k_proj", "v_proj", "o_proj"',
            ),
        ),
        "fault = raised is not None",
        NOTHING,
        model=TAUGHT,
    ),
    Case(
        "unmatched-classes",
        "classes",
        ("lora-target-unmatched",),
        (('["self_attn.q_proj", "self_attn.v_proj"]', '["attention.q_proj", "attention.v_proj"]'),),
        "fault = raised is not None and not [n for n, _ in tree_flatten(load('model')[0].parameters()) if '.attention.' in n]",
        NOTHING,
        model=LLAMA,
    ),
    Case(
        "unmatched-command",
        "command",
        ("lora-target-unmatched",),
        (("lora.yaml", '["self_attn.q_proj", "self_attn.v_proj"]', '["q_proj", "v_proj"]'),),
        "from pathlib import Path\nfault = not Path('adapters/adapters.safetensors').exists()",
        NOTHING,
        model=TAUGHT,
    ),
    Case(
        "unmatched-walk",
        "mixed",
        ("lora-target-unmatched",),
        (
            (
                '            for name in ("q_proj", "o_proj"):\n                linear = getattr(block.self_attn, name)\n',
                "            for name, linear in block.named_modules():\n"
                '                if name not in ("q_proj", "o_proj"):\n                    continue\n',
            ),
            ("        self.net.freeze()\n", ""),
        ),
        MIXED + "fault = not adapters",
        AFTER,
        model=TAUGHT,
    ),
    Case(
        "partial-loop",
        "loop",
        ("lora-partial",),
        (("linear_to_lora_layers(model, LAYERS, LORA)", "linear_to_lora_layers(model, LAYERS // 2, LORA)"),),
        LOOP + "fault = len({n.split('.')[2] for n in adapters}) != config['num_layers']",
        ("adapter-incomplete", "reload-mismatch"),
        model=TAUGHT,
    ),
    Case(
        "partial-chosen",
        "loop",
        ("lora-partial",),
        (
            ('"dropout": 0.0}', '"dropout": 0.0, "layers_to_transform": [0]}'),
            ("LAYERS = 2", "LAYERS = 1"),
        ),
        LOOP
        + "named = {str(n) for n in LORA.get('layers_to_transform', [])}\n"
        + "fault = bool(named) and {n.split('.')[2] for n in adapters} != named",
        ("adapter-incomplete", "reload-mismatch"),
        model=TAUGHT,
    ),
    Case(
        "healthy-chosen",
        "loop",
        swaps=(
            ('"dropout": 0.0}', '"dropout": 0.0, "layers_to_transform": [1]}'),
            ("LAYERS = 2", "LAYERS = 1"),
        ),
        evaluated=("lora-partial",),
        model=TAUGHT,
    ),
    Case(
        "partial-classes",
        "classes",
        ("lora-partial",),
        (("self.model.layers[-s.num_layers :]", "self.model.layers[s.num_layers // 2 :]"),),
        CLASSES + "fault = len({n.split('.')[2] for n in adapters}) != trainer.settings.adapter.num_layers",
        ("adapter-incomplete", "adapter-not-loaded", "reload-mismatch"),
        model=LLAMA,
    ),
    Case(
        "partial-api",
        "api",
        ("lora-partial",),
        (('        "keys": [', '        "target_modules": ['),),
        LOOP + "fault = any('.mlp.' in n for n in adapters)",
        model=TAUGHT,
    ),
    Case(
        "partial-command",
        "command",
        ("lora-partial",),
        (("lora.yaml", "  keys: [", "  target_modules: ["),),
        "import mlx.core as mx\nfault = any('.mlp.' in n for n in mx.load('adapters/adapters.safetensors'))",
        model=TAUGHT,
    ),
    Case(
        "nested-loop",
        "loop",
        ("lora-nested",),
        (
            (
                "LORA)\nnames",
                "LORA)\nfor layers in (LAYERS,):\n    linear_to_lora_layers(model, layers, LORA)\nnames",
            ),
        ),
        LOOP + "fault = any(n.endswith('.linear.lora_a') for n, _ in tree_flatten(model.parameters()))",
        ("adapter-not-loaded", "reload-mismatch", "adapter-incomplete"),
        model=TAUGHT,
    ),
    Case(
        "nested-stages",
        "stages",
        ("lora-nested",),
        (
            (
                "for name, chosen in topics.items():\n",
                "for name, chosen in topics.items():\n    if trainer.optimizer.step > 0:\n"
                "        linear_to_lora_layers(trainer.model, 1, {'rank': 6, 'scale': 4.0, 'dropout': 0.0})\n"
                "        trainer.optimizer.init(trainer.model.trainable_parameters())\n",
            ),
        ),
        CLASSES + "fault = any('.linear.lora_a' in n for n, _ in tree_flatten(trainer.model.parameters()))",
        ("adapter-not-loaded", "reload-mismatch", "adapter-incomplete", "optimizer-restarted"),
        model=TAUGHT,
    ),
    Case(
        "scale-classes",
        "classes",
        ("lora-scale-mismatch",),
        (("dropout=s.dropout, scale=s.alpha / s.rank)", "dropout=s.dropout, scale=s.alpha)"),),
        CLASSES + "fault = trainer.model.layers[-1].self_attn.q_proj.scale != 4.0",
        ("reload-mismatch",),
        model=LLAMA,
    ),
    Case(
        "scale-loop",
        "loop",
        ("lora-scale-mismatch",),
        (('"lora_parameters": LORA}', '"lora_parameters": {**LORA, "scale": 20.0}}'),),
        "fault = config['lora_parameters']['scale'] != model.layers[0].self_attn.q_proj.scale",
        ("reload-mismatch",),
        model=TAUGHT,
    ),
    Case(
        "scale-mixed",
        "mixed",
        ("lora-scale-mismatch",),
        (("r=plan.lora_rank, scale=plan.lora_scale)", "r=plan.lora_rank)"),),
        "fault = loop.model.net.layers[0].self_attn.q_proj.scale != loop.plan.lora_scale",
        ("reload-mismatch",),
        model=TAUGHT,
    ),
    Case(
        "nonzero-loop",
        "loop",
        ("lora-starts-nonzero",),
        (
            (
                "names = [",
                "for name, module in model.named_modules():\n    if 'lora_b' in module:\n"
                "        module.lora_b = 0.1 * mx.random.normal(module.lora_b.shape)\nnames = [",
            ),
        ),
        "fresh, _ = load('model')\nlinear_to_lora_layers(fresh, LAYERS, LORA)\nfault = 'module' in globals()",
        ("update-too-large",),
        model=TAUGHT,
    ),
    Case(
        "nonzero-handmade",
        "handmade",
        ("lora-starts-nonzero",),
        (
            (
                "self.lora_b = mx.zeros((rank, out))",
                "self.lora_b = mx.random.normal((rank, out)) / math.sqrt(rank)",
            ),
        ),
        "fresh = LowRank(nn.Linear(8, 8), 2, 1.0)\nfault = float(mx.abs(fresh.lora_b).max()) > 0",
        ("update-too-large", "adapter-not-loaded", "reload-mismatch"),
        model=TAUGHT,
    ),
    Case(
        "inert-handmade",
        "handmade",
        ("lora-inert",),
        (("mx.random.normal((inner, rank)) / math.sqrt(inner)", "mx.zeros((inner, rank))"),),
        "fault = all(float(mx.abs(v).max()) == 0 for v in deltas.values())",
        ("parameters-unchanged", "output-unchanged", "adapter-not-loaded", "reload-mismatch"),
        model=TAUGHT,
    ),
    Case(
        "inert-loop",
        "loop",
        ("lora-inert",),
        (('"scale": 8.0', '"scale": 0.0'),),
        LOOP + "fault = model.layers[0].self_attn.q_proj.scale == 0.0",
        ("parameters-unchanged", "output-unchanged", "loss-not-decreasing"),
        model=TAUGHT,
    ),
    Case(
        "healthy-settings",
        "settings",
        evaluated=("lora-missing", "lora-partial", "lora-scale-mismatch", "frozen-but-changed"),
        model=LLAMA,
    ),
    Case(
        "nonzero-factors",
        "factors",
        ("lora-starts-nonzero",),
        (("self.up = mx.zeros((width, rows))", "self.up = mx.random.normal((width, rows)) * 0.2"),),
        "fault = float(mx.abs(Side(nn.Linear(8, 8), 2, 1.0).up).max()) > 0",
        ("update-too-large",),
        model=LLAMA,
    ),
    Case(
        "missing-settings",
        "settings",
        ("lora-missing",),
        (('    if cfg["peft"]["type"] == "lora":', '    if cfg.get("adapter", {}).get("type") == "lora":'),),
        LOOP + "fault = not adapters",
        FOLLOWS,
        model=LLAMA,
    ),
    Case(
        "unmatched-settings",
        "settings",
        ("lora-target-unmatched",),
        (('if path.split(".")[-1] in peft["target_modules"]', 'if path in peft["target_modules"]'),),
        "fault = raised is not None",
        (*UNMOVED, "nothing-trainable", "optimizer-never-stepped"),
        model=LLAMA,
    ),
    Case(
        "partial-settings",
        "settings",
        ("lora-partial",),
        (('in peft["target_modules"]', 'in peft["target_modules"][:2]'),),
        LOOP + "fault = not any('v_proj' in n for n in adapters)",
        model=TAUGHT,
    ),
    Case(
        "scale-settings",
        "settings",
        ("lora-scale-mismatch",),
        (
            (
                'scale=peft["lora_alpha"] / peft["r"], dropout=peft["lora_dropout"]\n',
                'scale=peft["lora_alpha"], dropout=peft["lora_dropout"]\n',
            ),
        ),
        "fault = model.layers[0].self_attn.q_proj.scale == 32",
        ("reload-mismatch", "update-too-large"),
        model=LLAMA,
    ),
    Case(
        "two-accumulate",
        "accumulate",
        ("lora-scale-mismatch", "schedule-in-wrong-unit"),
        (
            (
                '    {"rank": args.lora_rank, "scale": args.lora_alpha / args.lora_rank,',
                '    {"rank": args.lora_rank, "scale": args.lora_alpha,',
            ),
            ("updates = args.iters // args.gradient_accumulation_steps", "updates = args.iters"),
        ),
        "fault = model.layers[0].self_attn.q_proj.scale == 20.0 and float(optimizer.learning_rate) > 0.5 * args.learning_rate",
        ("reload-mismatch", "update-too-large", "loss-not-decreasing", "generation-collapse"),
        model=TAUGHT,
    ),
    Case("healthy-step-0", "look", evaluated=("lora-partial", "lora-starts-nonzero"), model=TAUGHT),
    Case(
        "healthy-dora",
        "loop",
        swaps=(
            ("LAYERS, LORA)\nnames", "LAYERS, LORA, use_dora=True)\nnames"),
            ('"fine_tune_type": "lora"', '"fine_tune_type": "dora"'),
            ('if "lora_" in name}', 'if "lora_" in name or name.endswith(".m")}'),
        ),
        evaluated=ALL,
        model=TAUGHT,
    ),
    Case(
        "healthy-rank-1",
        "stages",
        swaps=(("rank=6, alpha=24", "rank=1, alpha=4"),),
        evaluated=ALL,
        model=LLAMA,
    ),
    Case(
        "healthy-mixed-ranks",
        "classes",
        swaps=(
            (
                "LoRALinear.from_base(module, r=s.rank,",
                "LoRALinear.from_base(module, r=s.rank * (1 + ('v' in name)),",
            ),
            (
                '"rank": s.rank,\n',
                '"rank": s.rank,\n            "ranks": {"v_proj": 2 * s.rank},\n',
            ),
        ),
        allowed=("adapter-not-loaded", "save-failed", "reload-mismatch"),
        evaluated=("lora-missing", "lora-nested", *SET, *STEPPED, *FINITE),
        model=LLAMA,
    ),
    Case(
        "healthy-mlp-last-layer",
        "api",
        swaps=(
            (
                '"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"',
                '"mlp.up_proj", "mlp.down_proj"',
            ),
            ('"num_layers": 2', '"num_layers": 1'),
        ),
        evaluated=ALL,
        model=LLAMA,
    ),
    Case("healthy-loop-all-linear", "loop", evaluated=ALL, model={"model_type": "phi3", "taught": True}),
    Case(
        "healthy-qlora",
        "qlora",
        evaluated=(*ALL, "quantization-parameters-changed"),
        model={"bits": 4, "taught": True},
    ),
    Case(
        "healthy-command",
        "command",
        evaluated=ALL,
        model={"model_type": "llama", "tied": True, "taught": True},
    ),
]
