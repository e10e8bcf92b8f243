"""Faults that were called healthy, or by another's name: of the loss, of what becomes of a gradient, of what is written."""

# ruff: noqa: E501  (swaps are texts as they stand)

from tests.zoo.zoo import Case

TAUGHT = {"taught": True}
LLAMA = {"model_type": "llama", "taught": True}
WORSE = ("output-unchanged", "generation-collapse", "score-dropped")
STILL = ("parameters-unchanged", "output-unchanged", "lora-inert", "loss-constant", "loss-not-decreasing")
FILE = "file = mx.load('adapters/adapters.safetensors')\nlive = dict(tree_flatten(model.parameters()))\n"
LOSS = "    losses = nn.losses.cross_entropy(logits, tokens[:, 1:])\n"

CASES = [
    Case(
        "softmax-in-loss",
        "loop",
        ("probabilities-as-logits",),
        (
            (
                "    logits = model(tokens[:, :-1])\n",
                "    logits = mx.softmax(model(tokens[:, :-1]), axis=-1)\n",
            ),
        ),
        "one = nn.losses.cross_entropy(mx.softmax(model(tokens[:, :-1]), axis=-1), tokens[:, 1:])\nfault = abs(loss_fn(model, tokens, weights).item() - ((one * weights).sum() / weights.sum()).item()) < 1e-3",
        ("generation-collapse", "loss-not-decreasing", "output-unchanged"),
        model=TAUGHT,
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
        STILL,
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
        STILL,
        model=LLAMA,
    ),
    Case(
        "rows-reordered",
        "roundtrip",
        ("weights-permuted",),
        (
            (
                "weights = dict(tree_flatten(model.trainable_parameters()))",
                'weights = {k: mx.contiguous(v[:, ::-1]) if k.endswith("q_proj.lora_b") else v for k, v in tree_flatten(model.trainable_parameters())}',
            ),
        ),
        FILE
        + "fault = any(not mx.array_equal(v, live[k]).item() and mx.array_equal(mx.sort(v.reshape(-1)), mx.sort(live[k].reshape(-1))).item() for k, v in file.items())",
        (*WORSE, "reload-mismatch"),
        model=TAUGHT,
    ),
    Case(
        "rewards-alike",
        "rewards",
        ("advantage-zero",),
        (("    return -abs(len(text) - 12)\n", '    return 1.0 if text.startswith("<answer>") else 0.0\n'),),
        "fault = float(mx.abs(advantages).max()) == 0",
        (*STILL, "gradients-zero"),
        model=TAUGHT,
    ),
    Case("healthy-rewards", "rewards", evaluated=("advantage-zero",), model=TAUGHT),
    Case(
        "sides-changed",
        "columns",
        ("preference-swapped",),
        (
            (
                'chosen = padded([tokens(r["prompt"], r["chosen"])',
                'chosen = padded([tokens(r["prompt"], r["rejected"])',
            ),
            (
                'rejected = padded([tokens(r["prompt"], r["rejected"])',
                'rejected = padded([tokens(r["prompt"], r["chosen"])',
            ),
        ),
        "ids, mask = batches[0][0]\nfault = 'rather not' in tokenizer.decode(ids[0].tolist())",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "fields-changed",
        "columns",
        ("fields-swapped",),
        (
            (
                '[padded([tokens(r["prompt"], r["answer"]) for r in part]) for part in parts(4, 8)],',
                '[padded([tokens(r["answer"], r["prompt"]) for r in part]) for part in parts(4, 30)],',
            ),
            ("for part in parts(2, 12):", "for part in parts(2, 0):"),
            ("train(nn.value_and_grad(model, preferred), batches)", 'print(len(batches), "batches")'),
        ),
        "text = tokenizer.decode(tokens(records[0]['answer'], records[0]['prompt'])[0])\nfault = len(batches) == 0 and text.index(records[0]['answer']) < text.index(records[0]['prompt'])",
        WORSE,
        model=TAUGHT,
    ),
    Case("healthy-columns", "columns", evaluated=("preference-swapped", "fields-swapped"), model=TAUGHT),
]
