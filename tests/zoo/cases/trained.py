"""What was trained: too much, too little, or what nobody put into the trainable set."""

from tests.zoo.evaluated import ALL, FULL, PART, SET, STEPPED
from tests.zoo.proofs import CLASSES, LOOP, MOVED, PIPELINE
from tests.zoo.zoo import Case

TAUGHT = {"taught": True}

LLAMA = {"model_type": "llama", "taught": True}

AFTER = ("base-weights-overwritten", "reload-mismatch", "adapter-incomplete")

NOTHING = (
    "optimizer-never-stepped",
    "parameters-unchanged",
    "error-swallowed",
    "output-unchanged",
    "lora-inert",
    "saved-untrained",
)

FOLLOWS = (
    "base-weights-overwritten",
    "full-weights-trained",
    "reload-mismatch",
    "adapter-incomplete",
    "adapter-not-loaded",
    "save-failed",
)

TUTOR = "net = tutor.net\n" + MOVED

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
        "unfrozen-loop",
        "loop",
        ("base-not-frozen",),
        (("model.freeze()\nlinear_to_lora_layers", "linear_to_lora_layers"),),
        LOOP + "fault = adapters and moved",
        AFTER,
        model=TAUGHT,
    ),
    Case(
        "unfrozen-classes",
        "classes",
        ("base-not-frozen",),
        (
            (
                "            attached += len(found)\n",
                "            attached += len(found)\n            layer.unfreeze()\n",
            ),
        ),
        CLASSES + "fault = adapters and moved",
        AFTER,
        model=LLAMA,
    ),
    Case(
        "unfrozen-resume",
        "resume",
        ("base-not-frozen",),
        (("    model.freeze()\n    load_adapters", "    load_adapters"),),
        LOOP + "fault = adapters and moved",
        (*AFTER, "optimizer-restarted"),
        model=TAUGHT,
    ),
    Case(
        "frozen-moved-loop",
        "loop",
        ("frozen-but-changed",),
        (
            (
                "value_and_grad = nn.value_and_grad(model, loss_fn)",
                "value_and_grad = mx.value_and_grad(loss_fn)",
            ),
        ),
        LOOP
        + "fault = bool(moved) and all('lora_' in n for n, _ in tree_flatten(model.trainable_parameters()))",
        AFTER,
        model=TAUGHT,
    ),
    Case(
        "frozen-moved-handmade",
        "handmade",
        ("frozen-but-changed",),
        (
            (
                "    optimizer.update(model, grads)\n",
                "    optimizer.update(model, grads)\n"
                "    model.update(tree_map_with_path(lambda k, p: mx.clip(p, -0.2, 0.2) if 'proj' in k else p, model.parameters()))\n",
            ),
        ),
        LOOP
        + "fault = bool(moved) and all('lora_' in n for n, _ in tree_flatten(model.trainable_parameters()))",
        (*AFTER, "adapter-not-loaded"),
        model=TAUGHT,
    ),
    Case(
        "frozen-moved-pipeline",
        "pipeline",
        ("frozen-but-changed",),
        (("nn.value_and_grad(model, self.loss)", "mx.value_and_grad(self.loss)"),),
        PIPELINE
        + "fault = bool(moved) and all('lora_' in n for n, _ in tree_flatten(net.trainable_parameters()))",
        AFTER,
        model={"tied": True, "taught": True},
    ),
    Case(
        "nothing-pipeline",
        "pipeline",
        ("nothing-trainable",),
        (
            (
                '        model.freeze()\n        linear_to_lora_layers(model, self.config["layers"], self.config["lora"])\n',
                '        linear_to_lora_layers(model, self.config["layers"], self.config["lora"])\n        model.freeze()\n',
            ),
        ),
        PIPELINE + "fault = not tree_flatten(net.trainable_parameters())",
        NOTHING,
        model=TAUGHT,
    ),
    Case(
        "nothing-api",
        "api",
        ("nothing-trainable",),
        (
            (
                "    model.freeze()\n    linear_to_lora_layers(model, args.num_layers, args.lora_parameters)\n",
                "    linear_to_lora_layers(model, args.num_layers, args.lora_parameters)\n    model.freeze()\n",
            ),
        ),
        "fault = raised is not None and 'must specify' in str(raised).lower()",
        NOTHING,
        model=LLAMA,
    ),
    Case(
        "partly-loop",
        "loop",
        ("adapter-partly-frozen",),
        (("names = [", "model.freeze()\nmodel.unfreeze(keys=['lora_b'])\nnames = ["),),
        LOOP + "fault = len(tree_flatten(model.trainable_parameters())) < len(adapters)",
        model=TAUGHT,
    ),
    Case(
        "partly-stages",
        "stages",
        ("adapter-partly-frozen",),
        (
            (
                "        self.optimizer = optim",
                "        self.model.layers[0].freeze()\n        self.optimizer = optim",
            ),
        ),
        CLASSES + "fault = len(tree_flatten(trainer.model.trainable_parameters())) < len(adapters)",
        ("adapter-incomplete", "reload-mismatch"),
        model=TAUGHT,
    ),
    Case(
        "scales-qlora",
        "qlora",
        ("quantization-parameters-changed",),
        (
            (
                "    model.train()\n    return",
                "    model.unfreeze(keys=['lora_a', 'lora_b', 'scales'])\n    model.train()\n    return",
            ),
        ),
        LOOP + "fault = bool(moved) and all(n.endswith(('scales', 'biases')) for n in moved)",
        (*AFTER, "adapter-not-loaded"),
        model={"bits": 4, "taught": True},
    ),
    Case(
        "scales-compiled",
        "compiled",
        ("quantization-parameters-changed",),
        (
            (
                "linear_to_lora_layers(model, -1, lora)\n",
                "linear_to_lora_layers(model, -1, lora)\nmodel.unfreeze(keys=['bias', 'biases'])\n",
            ),
        ),
        LOOP + "fault = bool(moved) and all(n.endswith(('scales', 'biases')) for n in moved)",
        (*AFTER, "adapter-not-loaded"),
        model={"model_type": "phi3", "bits": 8, "taught": True},
    ),
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
        "unfrozen-factors",
        "factors",
        ("base-not-frozen",),
        (("        self.net.freeze()\n", ""), ("        self.core.freeze()\n", "")),
        TUTOR + "fault = any('norm' in n for n in moved)",
        FOLLOWS,
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
        FOLLOWS,
        model={"tied": True, "taught": True},
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
        (*FOLLOWS, "wrong-base", "loss-not-decreasing", "generation-collapse", "update-too-large"),
        model=LLAMA,
    ),
    Case(
        "healthy-one-step",
        "loop",
        swaps=(("STEPS = 24", "STEPS = 1"),),
        evaluated=(*SET, *STEPPED),
        model=TAUGHT,
    ),
    Case("healthy-full", "full", evaluated=FULL, model={"model_type": "llama", "taught": True}),
    Case(
        "healthy-full-command",
        "command",
        swaps=(
            ("lora.yaml", "fine_tune_type: lora", "fine_tune_type: full"),
            ("lora.yaml", "learning_rate: 1e-3", "learning_rate: 1e-4"),
        ),
        evaluated=FULL,
        model=TAUGHT,
    ),
    Case("healthy-partial-full", "half", evaluated=PART, model={"taught": True}),
    Case("healthy-tied", "full", evaluated=(*FULL, "tie-broken"), model={"tied": True, "taught": True}),
    Case(
        "healthy-adapted-embedding",
        "loop",
        swaps=(
            (
                '"dropout": 0.0}\nLAYERS',
                '"dropout": 0.0, "keys": ["self_attn.q_proj", "model.embed_tokens"]}\nLAYERS',
            ),
        ),
        evaluated=ALL,
        model=TAUGHT,
    ),
    Case(
        "healthy-fine-rate",
        "half",
        swaps=(('"learning_rate": 5e-4', '"learning_rate": 2e-6'),),
        allowed=("update-lost-to-rounding",),
        evaluated=("nothing-trainable", "optimizer-never-stepped", "gradients-zero", "dtype-drift"),
        model={"taught": True, "dtype": "bfloat16"},
    ),
    Case("healthy-half", "half", evaluated=PART, model={"taught": True, "dtype": "bfloat16"}),
    Case("healthy-scratch", "scratch", allowed=("full-weights-trained",), evaluated=FULL),
    Case(
        "healthy-handmade",
        "handmade",
        evaluated=(*SET, *STEPPED, "weights-not-finite", "uniform-decay", "dtype-drift"),
        model=LLAMA,
    ),
    Case(
        "healthy-unfreezing",
        "full",
        swaps=(
            (
                "value_and_grad = nn.value_and_grad(model, loss_fn)\n",
                "model.freeze()\nmodel.lm_head.unfreeze()\nvalue_and_grad = nn.value_and_grad(model, loss_fn)\n",
            ),
            (
                "    value, grads = value_and_grad(x, mask)\n",
                "    if i == 8:\n        model.layers[-1].unfreeze()\n    value, grads = value_and_grad(x, mask)\n",
            ),
        ),
        evaluated=("nothing-trainable", "frozen-but-changed", "unexplained-change"),
        model=TAUGHT,
    ),
]
