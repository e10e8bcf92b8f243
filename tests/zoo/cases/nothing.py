"""Runs after which nothing has moved, or whose errors nobody heard."""

from tests.zoo.proofs import CLASSES, LOOP, PIPELINE, SAVED_ZERO
from tests.zoo.zoo import Case

TAUGHT = {"taught": True}

LLAMA = {"model_type": "llama", "taught": True}

PHI = {"model_type": "phi3", "taught": True}

UNMOVED = (
    "parameters-unchanged",
    "lora-inert",
    "output-unchanged",
    "saved-untrained",
    "loss-not-decreasing",
    "loss-constant",
)

STEP = "    value, gradients = value_and_grad(model, *get_batch(i))\n    optimizer.update(model, gradients)\n"

MADE = "value_and_grad = nn.value_and_grad(model, loss)\nmodel.train()\n"

COMPILED = (
    MADE + "\n\ndef advance(tokens, mask):\n    value, gradients = value_and_grad(model, tokens, mask)\n"
    "    optimizer.update(model, gradients)\n    return value\n\n\n"
    "advance = mx.compile(advance, outputs=[model.state, optimizer.state])\n"
)

LAST = "    parameters = optimizer.apply_gradients(gradients, parameters)\n"

CASES = [
    Case(
        "unstepped-pipeline-names",
        "pipeline",
        ("optimizer-never-stepped",),
        (
            (
                "                    optimizer.update(model, gradients)\n",
                "                    chosen = {k: v for k, v in gradients.items() if 'lora' in k}\n"
                "                    if chosen:\n                        optimizer.update(model, chosen)\n",
            ),
        ),
        PIPELINE + "fault = int(shared['optimizer'].state['step']) == 0",
        UNMOVED,
        model=TAUGHT,
    ),
    Case(
        "unstepped-pipeline-flat",
        "pipeline",
        ("optimizer-never-stepped",),
        (("optimizer.update(model, gradients)", "optimizer.update(model, dict(tree_flatten(gradients)))"),),
        PIPELINE
        + "fault = all(float(mx.abs(v).max()) == 0 for n, v in tree_flatten(net.parameters()) if n.endswith('lora_b'))",
        (*UNMOVED, "error-swallowed"),
        model=LLAMA,
    ),
    Case(
        "unstepped-classes",
        "classes",
        ("optimizer-never-stepped",),
        (
            ("range(self.settings.epochs):", "range(self.settings.epochs // len(self.data.items)):"),
            (
                "        self.model.eval()\n",
                "        self.model.eval()\n        log.info('done after %d', len(self.history))\n",
            ),
        ),
        CLASSES + "fault = not trainer.history",
        UNMOVED,
        model=LLAMA,
    ),
    Case(
        "other-loop",
        "loop",
        ("wrong-model-updated",),
        (
            (
                "value_and_grad = nn.value_and_grad(model, loss_fn)",
                "import copy\n\nlearner = copy.deepcopy(model)\nvalue_and_grad = nn.value_and_grad(learner, loss_fn)",
            ),
            ("value_and_grad(model, tokens, weights)", "value_and_grad(learner, tokens, weights)"),
            ("optimizer.update(model, gradients)", "optimizer.update(learner, gradients)"),
            (
                "mx.eval(model.parameters(), optimizer.state, value)",
                "mx.eval(learner.parameters(), optimizer.state, value)",
            ),
        ),
        SAVED_ZERO + "fault = zero",
        (*UNMOVED, "stale-model-in-generation"),
        model=TAUGHT,
    ),
    Case(
        "crossed-pairs",
        "pairs",
        ("wrong-model-updated",),
        (
            (
                "value_and_grad = nn.value_and_grad(model, objective)",
                "policy, _ = load('model')\npolicy.freeze()\nlinear_to_lora_layers(policy, 2, LORA)\n"
                "value_and_grad = nn.value_and_grad(model, objective)",
            ),
            ("optimizer.update(model, grads)", "optimizer.update(policy, grads)"),
            ("mx.eval(model.parameters()", "mx.eval(policy.parameters()"),
        ),
        SAVED_ZERO + "fault = zero",
        (*UNMOVED, "stale-model-in-generation"),
        model=TAUGHT,
    ),
    Case(
        "other-pairs",
        "pairs",
        ("wrong-model-updated",),
        (
            (
                "value_and_grad = nn.value_and_grad(model, objective)",
                "policy, _ = load('model')\npolicy.freeze()\nlinear_to_lora_layers(policy, 2, LORA)\n"
                "value_and_grad = nn.value_and_grad(policy, objective)",
            ),
            ("value_and_grad(model, chosen, rejected)", "value_and_grad(policy, chosen, rejected)"),
            ("optimizer.update(model, grads)", "optimizer.update(policy, grads)"),
            ("mx.eval(model.parameters()", "mx.eval(policy.parameters()"),
        ),
        SAVED_ZERO + "fault = zero",
        (*UNMOVED, "stale-model-in-generation"),
        model=TAUGHT,
    ),
    Case(
        "stateless-compiled",
        "compiled",
        ("compile-state-not-captured",),
        (
            ("@partial(mx.compile, inputs=state, outputs=state)", "@mx.compile"),
            ("    mx.eval(state, value)", "    mx.eval(value)"),
        ),
        "fault = raised is not None",
        (*UNMOVED, "save-failed", "error-swallowed"),
        model=PHI,
    ),
    Case(
        "outputs-compiled",
        "compiled",
        ("compile-state-not-captured",),
        (("@partial(mx.compile, inputs=state, outputs=state)", "@partial(mx.compile, outputs=state)"),),
        "fault = int(optimizer.state['step'].item()) < STEPS",
        UNMOVED,
        model=PHI,
    ),
    Case(
        "outputs-half",
        "half",
        ("compile-state-not-captured",),
        ((MADE, COMPILED), (STEP, "    value = advance(*get_batch(i))\n")),
        "fault = int(optimizer.state['step'].item()) < training['iters']",
        UNMOVED,
        evaluated=(),  # the healthy program compiles nothing
        model={"taught": True, "dtype": "bfloat16"},
    ),
    Case(
        "gradient-loop",
        "loop",
        ("gradients-zero",),
        (("    logits = model(tokens[:, :-1])\n", "    logits = mx.stop_gradient(model(tokens[:, :-1]))\n"),),
        LOOP + "fault = all(float(mx.abs(v).max()) == 0 for _, v in tree_flatten(gradients))",
        UNMOVED,
        model=TAUGHT,
    ),
    Case(
        "gradient-classes",
        "classes",
        ("gradients-zero",),
        (
            ("self.value_and_grad(*batch)", "self.value_and_grad(self.model(batch[0][:, :-1]), *batch)"),
            (
                "    def loss(self, tokens, begins, ends):\n",
                "    def loss(self, logits, tokens, begins, ends):\n",
            ),
            ("        logits = self.model(tokens[:, :-1])\n", ""),
        ),
        CLASSES
        + "fault = all(float(mx.abs(v).max()) == 0 for n, v in tree_flatten(net.parameters()) if n.endswith('lora_b'))",
        UNMOVED,
        model=LLAMA,
    ),
    Case(
        "rate-loop",
        "loop",
        ("learning-rate-zero",),
        (("RATE = 2e-3", "RATE = 2 // 1000"),),
        "fault = float(optimizer.learning_rate) == 0",
        UNMOVED,
        model=TAUGHT,
    ),
    Case(
        "rate-compiled",
        "compiled",
        ("learning-rate-zero",),
        (("optim.cosine_decay(2e-3, STEPS, 1e-4)", "optim.linear_schedule(0.0, 2e-3 * (STEPS // 100), 10)"),),
        "fault = float(schedule(mx.array(STEPS))) == 0",
        UNMOVED,
        model=PHI,
    ),
    Case(
        "rounding-half",
        "half",
        ("update-lost-to-rounding",),
        (('"learning_rate": 5e-4', '"learning_rate": 1e-9'),),
        LOOP + "fault = not moved and any(float(mx.abs(v).max()) > 0 for _, v in tree_flatten(gradients))",
        UNMOVED,
        model={"taught": True, "dtype": "bfloat16"},
    ),
    Case(
        "rounding-full",
        "full",
        ("update-lost-to-rounding",),
        (("default=2e-4", "default=1e-9"),),
        LOOP + "fault = not moved and any(float(mx.abs(v).max()) > 0 for _, v in tree_flatten(grads))",
        UNMOVED,
        model={"model_type": "llama", "tied": True, "dtype": "bfloat16", "taught": True},
    ),
    Case(
        "swallowed-pipeline",
        "pipeline",
        ("error-swallowed",),
        (
            (
                "        logits = model(tokens[:, :-1])\n",
                "        if tokens.shape[1] > 30:\n            raise ValueError('row too long')\n        logits = model(tokens[:, :-1])\n",
            ),
        ),
        PIPELINE + "fault = int(shared['optimizer'].step) < 18",
        ("records-dropped",),
        model=TAUGHT,
    ),
    Case(
        "swallowed-classes",
        "classes",
        ("error-swallowed",),
        (
            (
                "        value, gradients = self.value_and_grad(*batch)\n",
                "        try:\n            value, gradients = self.value_and_grad(*batch)\n"
                "        except ValueError:\n            return 0.0\n",
            ),
            (
                "        logits = self.model(tokens[:, :-1])\n",
                "        if tokens.shape[1] > 30:\n            raise ValueError(ends)\n        logits = self.model(tokens[:, :-1])\n",
            ),
        ),
        CLASSES + "fault = int(trainer.optimizer.step) < 4 * (len(trainer.data.items) // 2)",
        ("records-dropped",),
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
        "clipped-to-zero",
        "loop",
        ("gradient-discarded",),
        (
            (
                "    optimizer.update(model, gradients)\n",
                "    gradients, _ = optim.clip_grad_norm(gradients, 0.0)\n    optimizer.update(model, gradients)\n",
            ),
        ),
        "fault = all(float(mx.abs(g).max()) == 0 for _, g in tree_flatten(gradients))",
        UNMOVED,
        model=TAUGHT,
    ),
    Case(
        "masked-gradients",
        "loop",
        ("gradient-discarded",),
        (
            (
                "    optimizer.update(model, gradients)\n",
                "    gradients = tree_map_with_path(lambda name, g: g if name.startswith('lm_head') else mx.zeros_like(g), gradients)\n    optimizer.update(model, gradients)\n",
            ),
        ),
        "fault = all(float(mx.abs(g).max()) == 0 for _, g in tree_flatten(gradients))",
        UNMOVED,
        model=LLAMA,
    ),
]
