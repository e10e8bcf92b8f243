"""The same faults in further styles: pure functions, adapters of another make, everything from a settings file."""

from tests.zoo.proofs import LOOP, MOVED
from tests.zoo.zoo import Case

TAUGHT = {"taught": True}
LLAMA = {"model_type": "llama", "taught": True}
AFTER = (
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
TUTOR = "net = tutor.net\n" + MOVED
LAST = "    parameters = optimizer.apply_gradients(gradients, parameters)\n"

CASES = [
    Case(
        "healthy-functional",
        "functional",
        evaluated=("parameters-unchanged", "lora-partial", "gradients-zero", "wrong-model-updated"),
        model=TAUGHT,
    ),
    Case(
        "healthy-factors",
        "factors",
        evaluated=("parameters-unchanged", "frozen-but-changed", "base-not-frozen", "gradients-zero"),
        model=LLAMA,
    ),
    Case(
        "healthy-settings",
        "settings",
        evaluated=("lora-missing", "lora-partial", "lora-scale-mismatch", "frozen-but-changed"),
        model=LLAMA,
    ),
    Case(
        "healthy-switched-off",
        "settings",
        swaps=(
            ("settings.json", '"type": "lora"', '"type": "none"'),
            ("settings.json", '"lr": 0.002', '"lr": 0.0002'),
            (
                "def save(model, name):\n",
                "def save(model, name):\n    return model.save_weights(f'{name}.safetensors')\n",
            ),
        ),
        allowed=("full-weights-trained",),
        evaluated=("parameters-unchanged", "gradients-zero", "weights-not-finite", "update-too-large"),
        model=LLAMA,
    ),
    Case(
        "unwritten-functional",
        "functional",
        ("optimizer-never-stepped",),
        (
            (LAST, "    stepped = optimizer.apply_gradients(gradients, parameters)\n"),
            ("mx.eval(parameters, opt", "mx.eval(stepped, opt"),
        ),
        "fault = all(float(mx.abs(v).max()) == 0 for n, v in tree_flatten(parameters) if n.endswith('lora_b'))",
        UNMOVED,
        model=TAUGHT,
    ),
    Case(
        "constant-functional",
        "functional",
        ("gradients-zero",),
        (("    model.update(parameters)\n    losses", "    losses"),),
        "fault = all(float(mx.abs(v).max()) == 0 for _, v in tree_flatten(gradients))",
        (*UNMOVED, "frozen-but-changed"),
        model=TAUGHT,
    ),
    Case(
        "rate-functional",
        "functional",
        ("learning-rate-zero",),
        (("learning_rate=2e-3", "learning_rate=2e-3 * (len(rows) // 100)"),),
        "fault = float(optimizer.learning_rate) == 0",
        UNMOVED,
        model=LLAMA,
    ),
    Case(
        "unfrozen-factors",
        "factors",
        ("base-not-frozen",),
        (("        self.net.freeze()\n", ""), ("        self.core.freeze()\n", "")),
        TUTOR + "fault = any('norm' in n for n in moved)",
        AFTER,
        model=LLAMA,
    ),
    Case(
        "raw-factors",
        "factors",
        ("frozen-but-changed",),
        (
            (
                "nn.value_and_grad(self.net, self.penalty)",
                "mx.value_and_grad(lambda net, ids, keep: self.penalty(ids, keep))",
            ),
            ("self.grad(ids, keep)", "self.grad(self.net, ids, keep)"),
        ),
        TUTOR + "fault = any('norm' in n for n in moved)",
        AFTER,
        model={"tied": True, "taught": True},
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
        "frozen-factors",
        "factors",
        ("nothing-trainable",),
        (("        self.steps = optim", "        self.net.freeze()\n        self.steps = optim"),),
        "fault = raised is not None",
        (*UNMOVED, "optimizer-never-stepped"),
        model=LLAMA,
    ),
    Case(
        "missing-settings",
        "settings",
        ("lora-missing",),
        (('    if cfg["peft"]["type"] == "lora":', '    if cfg.get("adapter", {}).get("type") == "lora":'),),
        LOOP + "fault = not adapters",
        AFTER,
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
        "skipped-settings",
        "settings",
        ("optimizer-never-stepped",),
        (
            ("if not math.isfinite(value.item()):", "if math.isfinite(value.item()):"),
            ("{norm.item():.2f}", "{skipped}"),
        ),
        LOOP
        + "fault = all(float(mx.abs(v).max()) == 0 for n, v in tree_flatten(net.parameters()) if n.endswith('lora_b'))",
        UNMOVED,
        model=TAUGHT,
    ),
    Case(
        "rate-settings",
        "settings",
        ("learning-rate-zero",),
        (("settings.json", '"lr": 0.002', '"lr": 0'),),
        "fault = float(optimizer.learning_rate) == 0",
        UNMOVED,
        model=LLAMA,
    ),
    Case(
        "large-settings",
        "settings",
        ("update-too-large",),
        (("settings.json", '"lr": 0.002', '"lr": 0.5'),),
        LOOP + "layer = model.layers[0].self_attn.q_proj\n"
        "fault = float(mx.linalg.norm(layer.scale * layer.lora_a @ layer.lora_b)) > 3 * float(mx.linalg.norm(layer.linear.weight))",
        ("loss-not-decreasing", "generation-collapse"),
        model=LLAMA,
    ),
    Case(
        "two-loop",
        "loop",
        ("base-not-frozen", "loss-sign-flipped"),
        (
            ("model.freeze()\nlinear_to_lora_layers", "linear_to_lora_layers"),
            (
                "    return (losses * weights).sum() / weights.sum()",
                "    return -(losses * weights).sum() / weights.sum()",
            ),
        ),
        LOOP + "fault = adapters and moved and value.item() < 0",
        (*AFTER, "wrong-base", "loss-not-decreasing", "generation-collapse", "update-too-large"),
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
    Case(
        "no-model-compiled",
        "compiled",
        ("compile-state-not-captured",),
        (
            (
                "state = [model.state, optimizer.state, mx.random.state]",
                "state = [optimizer.state, mx.random.state]",
            ),
            ("    mx.eval(state, value)", "    mx.eval(value)"),
        ),
        "fault = raised is not None",
        (*UNMOVED, "save-failed", "optimizer-restarted"),
        model={"model_type": "phi3", "taught": True},
    ),
    Case(
        "gradient-compiled-classes",
        "classes",
        ("compile-state-not-captured",),
        (
            (
                "self.value_and_grad = nn.value_and_grad(self.model, self.loss)",
                "self.value_and_grad = mx.compile(nn.value_and_grad(self.model, self.loss))",
            ),
        ),
        "one = next(iter(trainer.data.batches(2)))\na = trainer.value_and_grad(*one)[0].item()\n"
        "fault = abs(a - trainer.loss(*one).item()) > 0.1",
        ("loss-not-decreasing", "stale-compiled-function"),
        evaluated=(),
        model=LLAMA,
    ),
]
