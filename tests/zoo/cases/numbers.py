"""Numbers: not finite, too large, of the wrong sign, detached, restarted, in another unit, decayed, in another type, untied."""

# ruff: noqa: E501  (swaps are texts as they stand)

from tests.zoo.evaluated import ALL, ASKED, FULL, LOSS, WHOLE
from tests.zoo.proofs import CLASSES, LOOP
from tests.zoo.zoo import Case

TAUGHT = {"taught": True}

LLAMA = {"model_type": "llama", "taught": True}

PHI = {"model_type": "phi3", "taught": True}

BROKEN = (
    "loss-not-decreasing",
    "generation-collapse",
    "lora-inert",
    "reload-mismatch",
    "base-weights-overwritten",
)

NAN = "fault = any(bool(mx.isnan(v).any().item()) for _, v in tree_flatten(net.parameters()))"

# how large the gradients were that the optimizer remembers, against the mean of some at the end
SIZE = """
v = sum(float(v.sum()) for n, v in tree_flatten(optimizer.state) if n.endswith(".v"))
seen = (v / (1 - 0.999 ** int(optimizer.step))) ** 0.5
mean = tree_flatten(tree_map(lambda *g: sum(g) / len(g), *gathered))
now = sum(float((g * g).sum()) for _, g in mean) ** 0.5
fault = seen / now > 1.5 * len(gathered)
"""

STEPS = "fault = int(optimizer.step) != "

TIED = {"taught": True, "tied": True}

CASES = [
    Case(
        "nan-half",
        "half",
        ("weights-not-finite",),
        (('"eps": 1e-4', '"eps": 1e-8'),),
        LOOP + NAN,
        BROKEN,
        model={"dtype": "float16"},
    ),
    Case(
        "nan-loop",
        "loop",
        ("weights-not-finite",),
        (
            (
                "    return (losses * weights).sum() / weights.sum()",
                "    size = mx.sqrt(sum((v * v).sum() for k, v in tree_flatten(model.parameters()) if k.endswith('lora_b')))\n"
                "    return (losses * weights).sum() / weights.sum() + 0.01 * size",
            ),
        ),
        LOOP + NAN,
        BROKEN,
        model=TAUGHT,
    ),
    Case(
        "nan-log",
        "loop",
        ("weights-not-finite",),
        (
            (
                "    return (losses * weights).sum() / weights.sum()",
                "    likely = mx.exp(-1e4 * losses.sum())\n"
                "    return (losses * weights).sum() / weights.sum() - 0.0 * mx.log(likely)",
            ),
        ),
        LOOP + NAN,
        BROKEN,
        model=TAUGHT,
    ),
    Case(
        "large-loop",
        "loop",
        ("update-too-large",),
        (("RATE = 2e-3", "RATE = 2.0"),),
        LOOP + "layer = model.layers[0].self_attn.q_proj\n"
        "fault = float(mx.linalg.norm(layer.scale * layer.lora_a @ layer.lora_b)) > 10 * float(mx.linalg.norm(layer.linear.weight))",
        BROKEN,
        model=TAUGHT,
    ),
    Case(
        "large-full",
        "full",
        ("update-too-large",),
        (("default=2e-4", "default=0.5"),),
        LOOP + "w = 'model.layers.0.self_attn.q_proj.weight'\n"
        "fault = float(mx.linalg.norm(now[w] - base[w])) > 5 * float(mx.linalg.norm(base[w]))",
        BROKEN,
        model={"model_type": "llama", "tied": True, "taught": True},
    ),
    Case(
        "sign-qlora",
        "qlora",
        ("loss-sign-flipped",),
        (("    return mx.sum(", "    return -mx.sum("),),
        "fault = value.item() < 0",
        BROKEN,
        model={"bits": 4, "taught": True},
    ),
    Case(
        "sign-classes",
        "classes",
        ("loss-sign-flipped",),
        (
            (
                "losses = nn.losses.cross_entropy(logits, targets) * mask",
                "losses = mx.take_along_axis(nn.log_softmax(logits, -1), targets[..., None], -1)[..., 0] * mask",
            ),
        ),
        "fault = trainer.history[-1] < 0",
        BROKEN,
        model=LLAMA,
    ),
    Case(
        "gradient-turned",
        "roundtrip",
        ("loss-sign-flipped",),
        (
            (
                "    optimizer.update(model, grads)\n",
                "    optimizer.update(model, tree_map(lambda g: -g, grads))\n",
            ),
            ("from mlx.utils import tree_flatten\n", "from mlx.utils import tree_flatten, tree_map\n"),
        ),
        "ids, mask = arrays(train[:5])\nfault = loss(model, ids, mask).item() > 6",
        (*BROKEN, "reload-mismatch"),
        model=TAUGHT,
    ),
    Case(
        "detached-pairs",
        "pairs",
        ("term-detached",),
        (("mean_logprob(model, *rejected)", "mx.array(mean_logprob(model, *rejected).tolist())"),),
        "original, calls = mean_logprob, []\n\ndef mean_logprob(m, x, k):\n    calls.append(original(m, x, k))\n"
        "    return mx.stop_gradient(calls[-1]) if len(calls) == 1 else calls[-1]\n\n"
        "_, g = nn.value_and_grad(model, objective)(model, chosen, rejected)\n"
        "fault = all(float(mx.abs(v).max()) == 0 for _, v in tree_flatten(g))",
        model=TAUGHT,
    ),
    Case(
        "detached-mixed",
        "mixed",
        ("term-detached",),
        (("self.plan.text_weight * rehearsal", "self.plan.text_weight * rehearsal.item()"),),
        "d, every = loop.data, nn.value_and_grad(loop.model.net, loop.loss)\n"
        "_, a = every(d.take(d.chat, 0, 2), d.take(d.text, 0, 2))\n"
        "_, b = every(d.take(d.chat, 0, 2), d.take(d.text, 1, 2))\n"
        "fault = all(mx.array_equal(x, y).item() for (_, x), (_, y) in zip(tree_flatten(a), tree_flatten(b)))",
        model=TAUGHT,
    ),
    Case(
        "detached-anchor",
        "anchored",
        ("term-detached",),
        (
            ("weights.sum() + BETA * distance(held)", "weights.sum() + BETA * held"),
            ("gradient(*batch, others)", "gradient(*batch, distance(others))"),
        ),
        "held = distance(others) if 'BETA * held' in open('train.py').read() else others\n"
        "_, a = gradient(*batch, held)\nBETA = 40.0\n_, b = gradient(*batch, held)\n"
        "fault = all(mx.array_equal(x, y).item() for (_, x), (_, y) in zip(tree_flatten(a), tree_flatten(b)))",
        model=TAUGHT,
    ),
    Case(
        "restarted-stages",
        "stages",
        ("optimizer-restarted",),
        (
            (
                "        self.model.train()\n",
                "        self.model.train()\n        self.optimizer = optim.AdamW(learning_rate=self.rate, weight_decay=0.0)\n",
            ),
        ),
        "fault = int(trainer.optimizer.step) < 24",
        model=TAUGHT,
    ),
    Case(
        "restarted-resume",
        "resume",
        ("optimizer-restarted",),
        (
            (
                '    optimizer.state = tree_unflatten(list(mx.load(str(FOLDER / "optimizer.safetensors")).items()))\n',
                "",
            ),
        ),
        "fault = int(optimizer.step) < 28",
        model=TAUGHT,
    ),
    Case(
        "unit-accumulate",
        "accumulate",
        ("schedule-in-wrong-unit",),
        (("updates = args.iters // args.gradient_accumulation_steps", "updates = args.iters"),),
        "fault = float(optimizer.learning_rate) > 0.5 * args.learning_rate",
        model=TAUGHT,
    ),
    Case(
        "unit-compiled",
        "compiled",
        ("schedule-in-wrong-unit",),
        (("optim.cosine_decay(2e-3, STEPS, 1e-4)", "optim.cosine_decay(2e-3, STEPS // 10)"),),
        "fault = float(schedule(mx.array(STEPS // 2))) == 0",
        model=PHI,
    ),
    Case(
        "sum-accumulate",
        "accumulate",
        ("accumulation-mismatch",),
        (("tree_map(lambda g: g / args.gradient_accumulation_steps, gathered)", "gathered"),),
        "gathered = [value_and_grad(model, *micro_batch(i))[1] for i in range(4)]\n" + SIZE,
        model=TAUGHT,
    ),
    Case(
        "count-accumulate",
        "accumulate",
        ("accumulation-mismatch",),
        (
            (
                "    if count == args.gradient_accumulation_steps:",
                "    if count >= args.gradient_accumulation_steps:",
            ),
            ("        gathered = None\n        count = 0\n", "        gathered = None\n"),
        ),
        STEPS + "args.iters // args.gradient_accumulation_steps",
        ("schedule-in-wrong-unit",),
        model=TAUGHT,
    ),
    Case(
        "each-mixed",
        "mixed",
        ("accumulation-mismatch",),
        (("            if (step + 1) % every == 0:", "            if self.sum is not None:"),),
        "fault = int(loop.optimizer.step) == loop.plan.steps",
        model=TAUGHT,
    ),
    Case(
        "sum-mixed",
        "mixed",
        ("accumulation-mismatch",),
        (("tree_map(lambda g: g * (1 / every), self.sum)", "self.sum"),),
        "optimizer, d = loop.optimizer, loop.data\n"
        "gathered = [loop.gradient(d.take(d.chat, i, 2), d.take(d.text, i, 2))[1] for i in range(2)]\n"
        + SIZE,
        model=TAUGHT,
    ),
    Case(
        "decay-loop",
        "loop",
        ("uniform-decay",),
        (
            (
                "value_and_grad = nn.value_and_grad(model, loss_fn)",
                "value_and_grad = mx.value_and_grad(loss_fn)",
            ),
            (
                "optimizer.update(model, gradients)",
                "optimizer.update(model, tree_map_with_path(lambda k, g: g if 'lora_' in k else mx.zeros_like(g), gradients))",
            ),
        ),
        LOOP + "w = 'model.layers.0.mlp.up_proj.weight'\nratio = now[w] / base[w]\n"
        "fault = moved and float(ratio.max()) < 1 and float(ratio.max() - ratio.min()) < 1e-4",
        ("base-weights-overwritten", "reload-mismatch", "frozen-but-changed"),
        model=TAUGHT,
    ),
    Case(
        "decay-classes",
        "classes",
        ("uniform-decay",),
        (
            (
                "        self.optimizer.update(self.model, gradients)\n",
                "        self.optimizer.update(self.model, gradients)\n"
                "        self.model.update(tree_map(lambda p: p * (1 - 0.1 * self.settings.learning_rate), self.model.parameters()))\n",
            ),
        ),
        CLASSES + "w = 'model.layers.0.mlp.up_proj.weight'\nratio = now[w] / base[w]\n"
        "fault = moved and float(ratio.max()) < 1 and float(ratio.max() - ratio.min()) < 1e-4",
        ("base-weights-overwritten", "reload-mismatch", "frozen-but-changed"),
        model=LLAMA,
    ),
    Case(
        "drift-half",
        "half",
        ("dtype-drift",),
        (
            (
                "    optimizer.update(model, gradients)\n",
                "    optimizer.update(model, tree_map(lambda g: g * mx.array(0.5), gradients))\n",
            ),
        ),
        LOOP + "fault = any(v.dtype == mx.float32 for v in now.values())",
        model={"taught": True, "dtype": "bfloat16"},
    ),
    Case(
        "drift-full",
        "full",
        ("dtype-drift",),
        (
            (
                "    grads, norm = optim.clip_grad_norm(grads, 1.0)\n",
                "    norm = mx.sqrt(sum(mx.square(g.astype(mx.float32)).sum() for _, g in tree_flatten(grads)))\n"
                "    grads = tree_map(lambda g: g * mx.minimum(1.0 / norm, 1.0), grads)\n",
            ),
        ),
        LOOP + "fault = any(v.dtype == mx.float32 for v in now.values())",
        model={"model_type": "llama", "tied": True, "dtype": "bfloat16", "taught": True},
    ),
    Case(
        "untied-scratch",
        "scratch",
        ("tie-broken",),
        (
            (
                "        self.norm = nn.LayerNorm(width)\n",
                "        self.norm = nn.LayerNorm(width)\n        self.head = nn.Linear(width, vocabulary, bias=False)\n"
                "        self.head.weight = self.tokens.weight\n",
            ),
            ("return self.tokens.as_linear(self.norm(x))", "return self.head(self.norm(x))"),
        ),
        "fault = 'head' in model and not mx.array_equal(model.head.weight, model.tokens.weight).item()",
        ("full-weights-trained",),
        evaluated=(),  # the healthy program has no head of its own
    ),
    Case(
        "untied-full",
        "full",
        ("tie-broken",),
        (
            (
                "start = dict(",
                "model.lm_head = nn.Linear(*reversed(model.model.embed_tokens.weight.shape), bias=False)\n"
                "model.lm_head.weight = model.model.embed_tokens.weight\nmodel.args.tie_word_embeddings = False\nstart = dict(",
            ),
        ),
        "fault = 'lm_head' in model and not mx.array_equal(model.lm_head.weight, model.model.embed_tokens.weight).item()",
        ("reload-mismatch", "adapter-not-loaded"),
        model={"model_type": "llama", "tied": True, "taught": True},
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
        "healthy-decay",
        "full",
        swaps=(("weight_decay=0.0", "weight_decay=0.1"),),
        evaluated=FULL,
        model=TAUGHT,
    ),
    Case(
        "healthy-accumulated",
        "accumulate",
        evaluated=("accumulation-mismatch", "schedule-in-wrong-unit", *ALL),
        model=TAUGHT,
    ),
    Case("healthy-anchored", "anchored", evaluated=("term-detached", *ALL), model=TAUGHT),
    Case("healthy-mixed", "mixed", evaluated=("accumulation-mismatch", "term-detached", *ALL), model=LLAMA),
    Case(
        "healthy-accumulated-command",
        "command",
        swaps=(("lora.yaml", "batch_size: 2\n", "batch_size: 2\ngrad_accumulation_steps: 4\n"),),
        evaluated=("accumulation-mismatch", *ALL),
        model=LLAMA,
    ),
    Case("healthy-resume", "resume", evaluated=("optimizer-restarted", *ALL), model=LLAMA),
    Case(
        "healthy-stages",
        "stages",
        evaluated=("optimizer-restarted", *ALL),
        model={"tied": True, "taught": True},
    ),
    Case(
        "healthy-adam-first-step", "widened", evaluated=(*WHOLE, *ASKED, "tokenizer-mismatch"), model=TAUGHT
    ),
    Case(
        "healthy-warm-up",
        "collator",
        swaps=(("learning_rate=2e-3, weight", "learning_rate=optim.linear_schedule(0.0, 2e-3, 20), weight"),),
        evaluated=(*LOSS, *ASKED),
        model=TIED,
    ),
    Case("healthy-average", "average", evaluated=(*WHOLE, *ASKED, "saved-untrained"), model=TAUGHT),
    Case(
        "average-swapped-in",
        "average",
        ("weights-not-restored",),
        (
            (
                "    blend()\nprint",
                "    blend()\n    if number % 10 == 9:\n        kept = model.trainable_parameters()\n        model.update(average.trainable_parameters())\n        ids = mx.array(rows[0])[None]\n        print(loss(model, ids, mx.array([ids.size])).item())\nprint",
            ),
        ),
        "fault = any(not mx.array_equal(a, b) for (_, a), (_, b) in zip(tree_flatten(globals().get('kept', model.trainable_parameters())), tree_flatten(model.trainable_parameters())))",
        ("loss-not-decreasing", "saved-before-last-update"),
        model=TAUGHT,
    ),
    Case(
        "healthy-average-swapped",
        "average",
        (),
        (
            (
                "    blend()\nprint",
                "    blend()\n    if number % 10 == 9:\n        kept = model.trainable_parameters()\n        model.update(average.trainable_parameters())\n        ids = mx.array(rows[0])[None]\n        print(loss(model, ids, mx.array([ids.size])).item())\n        model.update(kept)\nprint",
            ),
        ),
        evaluated=("weights-not-restored",),
        model=TAUGHT,
    ),
    Case(
        "number-compiled",
        "compiled",
        ("compile-number-frozen",),
        (
            (
                "schedule = optim.cosine_decay(2e-3, STEPS, 1e-4)\n",
                "settings = {'weight': 1.0}\nschedule = 2e-3\n",
            ),
            (
                "    return (nn.losses.cross_entropy(logits, x[:, 1:]) * w).sum() / w.sum()\n",
                "    return settings['weight'] * (nn.losses.cross_entropy(logits, x[:, 1:]) * w).sum() / w.sum()\n",
            ),
            (
                "    optimizer.update(model, grads)\n",
                "    grads = tree_map(lambda g: g * settings['weight'], grads)\n    optimizer.update(model, grads)\n",
            ),
            (
                "    mx.eval(state, value)\n",
                "    mx.eval(state, value)\n    settings['weight'] = 1 - (i + 1) / STEPS\n",
            ),
        ),
        "fault = 'settings' in globals() and settings['weight'] != 1.0",
        ("loss-not-decreasing", "output-unchanged", "generation-collapse"),
        evaluated=("compile-state-not-captured",),
        model=PHI,
    ),
    Case(
        "healthy-number-argument",
        "compiled",
        (),
        (
            (
                "schedule = optim.cosine_decay(2e-3, STEPS, 1e-4)\n",
                "settings = {'weight': 1.0}\nschedule = 2e-3\n",
            ),
            ("def step(x, w):\n", "def step(x, w, weight):\n"),
            (
                "    optimizer.update(model, grads)\n",
                "    grads = tree_map(lambda g: g * weight, grads)\n    optimizer.update(model, grads)\n",
            ),
            (
                "step(tokens[picked], weights[picked])\n    mx.eval(state, value)\n",
                "step(tokens[picked], weights[picked], mx.array(settings['weight']))\n    mx.eval(state, value)\n    settings['weight'] = 1 - (i + 1) / STEPS\n",
            ),
        ),
        evaluated=("compile-number-frozen",),
        model=PHI,
    ),
]
