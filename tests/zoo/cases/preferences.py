"""Losses of preferences and rewards: which side is pulled up, which field answers, what an advantage is worth."""

# ruff: noqa: E501  (swaps are texts as they stand)

from tests.zoo.zoo import Case

TAUGHT = {"taught": True}
WORSE = ("output-unchanged", "generation-collapse", "score-dropped")
STILL = (
    "parameters-unchanged",
    "output-unchanged",
    "lora-inert",
    "loss-constant",
    "loss-not-decreasing",
)

CASES = [
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
        "answers-tiled",
        "rewards",
        ("advantages-mixed",),
        (
            (
                "    prompt = chat(QUESTIONS[step % len(QUESTIONS)])\n    texts = [generate(model, tokenizer, prompt=prompt, max_tokens=10, sampler=sampler) for _ in range(GROUP)]\n",
                "    prompts = [chat(QUESTIONS[i % 2]) for i in range(2 * GROUP)]\n    texts = [generate(model, tokenizer, prompt=p, max_tokens=10, sampler=sampler) for p in prompts]\n",
            ),
            (
                "    advantages = (rewards - rewards.mean()) / (mx.std(rewards) + 1e-4)\n    rows = [prompt + tokenizer.encode(text, add_special_tokens=False) for text in texts]\n",
                "    grouped = rewards.reshape(2, GROUP)\n    advantages = (grouped - grouped.mean(1, keepdims=True)).flatten()\n    rows = [p + tokenizer.encode(text, add_special_tokens=False) for p, text in zip(prompts, texts)]\n",
            ),
            (
                "    mask = mx.array([[float(len(prompt) <= i < len(row)) for i in range(1, width)] for row in rows])\n",
                "    mask = mx.array(\n        [[float(len(p) <= i < len(row)) for i in range(1, width)] for p, row in zip(prompts, rows)]\n    )\n",
            ),
        ),
        "fault = len(rewards) > GROUP and prompts[0] != prompts[1]",
        (*STILL, "generation-collapse", "score-dropped"),
        evaluated=(),
        model=TAUGHT,
    ),
    Case(
        "healthy-answers-grouped",
        "rewards",
        (),
        (
            (
                "    prompt = chat(QUESTIONS[step % len(QUESTIONS)])\n    texts = [generate(model, tokenizer, prompt=prompt, max_tokens=10, sampler=sampler) for _ in range(GROUP)]\n",
                "    prompts = [chat(QUESTIONS[i // GROUP]) for i in range(2 * GROUP)]\n    texts = [generate(model, tokenizer, prompt=p, max_tokens=10, sampler=sampler) for p in prompts]\n",
            ),
            (
                "    advantages = (rewards - rewards.mean()) / (mx.std(rewards) + 1e-4)\n    rows = [prompt + tokenizer.encode(text, add_special_tokens=False) for text in texts]\n",
                "    grouped = rewards.reshape(2, GROUP)\n    advantages = (grouped - grouped.mean(1, keepdims=True)).flatten()\n    rows = [p + tokenizer.encode(text, add_special_tokens=False) for p, text in zip(prompts, texts)]\n",
            ),
            (
                "    mask = mx.array([[float(len(prompt) <= i < len(row)) for i in range(1, width)] for row in rows])\n",
                "    mask = mx.array(\n        [[float(len(p) <= i < len(row)) for i in range(1, width)] for p, row in zip(prompts, rows)]\n    )\n",
            ),
        ),
        evaluated=("advantages-mixed",),
        model=TAUGHT,
    ),
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
    Case(
        "mask-of-chosen",
        "columns",
        ("mask-of-another-row",),
        (
            ("    width = max(len(ids) for ids, _ in rows)\n", "    width = 64\n"),
            ('f"I would rather not talk about {user.split()[-1]}"', 'f"No {user.split()[-1]}"'),
            ("for part in parts(2, 12):", "for part in parts(4, 12):"),
            ("(likelihood(model, *rejected) - bad)", "(likelihood(model, rejected[0], chosen[1]) - bad)"),
        ),
        "chosen, (ids, mask), *known = batches[0]\nempty = (ids, mx.zeros_like(mask))\nvalues = [preferred(model, chosen, each, *known).item() for each in ((ids, mask), empty)]\nfault = values[0] == values[1]",
        (*WORSE, "padding-in-loss", "answers-partly-masked", "end-never-trained"),
        evaluated=("mask-of-another-row",),
        model=TAUGHT,
    ),
    Case(
        "healthy-columns-wide",
        "columns",
        (),
        (
            ("    width = max(len(ids) for ids, _ in rows)\n", "    width = 64\n"),
            ('f"I would rather not talk about {user.split()[-1]}"', 'f"No {user.split()[-1]}"'),
            ("for part in parts(2, 12):", "for part in parts(4, 12):"),
        ),
        evaluated=("mask-of-another-row",),
        model=TAUGHT,
    ),
]
