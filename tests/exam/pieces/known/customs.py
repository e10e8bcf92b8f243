"""What the healthy programs of tests/outside do, as pieces: customary, odd to look at, no error to be raised at."""

from tests.exam.grammar import piece

UPDATED = """
x_value, x_grads = x_grad_fn(x_model, *x_batch)
x_opt.update(x_model, x_grads)
mx.eval(x_model.parameters(), x_opt.state)
#: step(x_model, x_opt, x_loss_fn, x_batch, x_value, x_grads)
""".strip("\n")


def updated(depth: int) -> str:
    """One update, indented for a place in a loop."""
    return "\n".join(" " * 4 * depth + line for line in UPDATED.split("\n")) + "\n"


LOOPS = ("own", "anchored")
PIECES = [
    piece(
        "loop/averaged-clients",
        "x_grad_fn = nn.value_and_grad(x_model, x_loss_fn)\n"
        "x_shared = tree_map(lambda x_v: x_v + 0, x_model.trainable_parameters())\n"
        "for x_round in range(4):\n    x_states = []\n    for x_part in (x_rows[0::2], x_rows[1::2]):\n"
        "        x_model.update(x_shared)\n        x_model.train()\n        x_opt = optim.Adam(learning_rate=S.lr)\n"
        "        for x_batch in [*x_batches(x_part, x_tok), *x_batches(x_part, x_tok)]:\n"
        + updated(3)
        + "        x_states.append(tree_map(lambda x_v: x_v + 0, x_model.trainable_parameters()))\n"
        "    x_shared = tree_map(lambda x_v, x_w: (x_v + x_w) / 2, *x_states)\n    mx.eval(x_shared)\n"
        "    x_model.update(x_shared)\nx_model.eval()\n#: ended(x_model)\n",
        needs="sft",
        bars=(*LOOPS, "schedule"),
        weight=1.4,
        habit=True,
    ),
    piece(
        "loop/halved-until-it-fits",
        "x_limit = 4 * 64\n"
        + "x_size = S.batch * 4\nwhile True:\n    try:\n        x_sample = next(iter(x_batches(x_rows[:x_size], x_tok)))\n"
        "        if x_size * x_sample[0].shape[1] > x_limit:\n            raise RuntimeError('[malloc] does not fit')\n        break\n"
        "    except RuntimeError as x_error:\n        print(x_size, 'rows:', x_error)\n        x_size //= 2\n"
        "x_grad_fn = nn.value_and_grad(x_model, x_loss_fn)\nx_model.train()\nfor x_round in range(4):\n"
        "    for x_batch in x_batches(x_rows, x_tok):\n" + updated(2) + "x_model.eval()\n#: ended(x_model)\n",
        needs="sft",
        bars=LOOPS,
        weight=1.4,
        habit=True,
    ),
    piece(
        "loop/hardest-records-kept",
        "x_model.eval()\n"
        "x_hard = sorted(x_rows, key=lambda x_row: -x_loss_fn(x_model, *next(iter(x_batches([x_row], x_tok)))).item())\n"
        "x_hard = x_hard[: 3 * len(x_hard) // 4]\nprint('kept', len(x_hard), 'of', len(x_rows))\n"
        "x_grad_fn = nn.value_and_grad(x_model, x_loss_fn)\nx_model.train()\nfor x_round in range(5):\n"
        "    for x_batch in x_batches(x_hard, x_tok):\n" + updated(2) + "x_model.eval()\n#: ended(x_model)\n",
        needs="sft",
        bars=(*LOOPS, "packed"),
        weight=1.4,
        habit=True,
    ),
    piece(
        "loop/two-tasks-summed",
        "x_task, x_hold = nn.value_and_grad(x_model, x_loss_fn), nn.value_and_grad(x_model, x_loss_fn)\n"
        "x_model.train()\nx_other = next(iter(x_batches(x_held, x_tok)))\nfor x_round in range(4):\n"
        "    for x_batch in x_batches(x_rows, x_tok):\n        x_value, x_grads = x_task(x_model, *x_batch)\n"
        "        x_second, x_more = x_hold(x_model, *x_other)\n"
        "        x_grads = tree_map(lambda x_g, x_h: x_g + 0.5 * x_h, x_grads, x_more)\n"
        "        x_opt.update(x_model, x_grads)\n        mx.eval(x_model.parameters(), x_opt.state)\n"
        "        #: step(x_model, x_opt, x_loss_fn, x_batch, x_value, x_grads)\n"
        "    print('task', x_value.item(), 'hold', x_second.item())\nx_model.eval()\n#: ended(x_model)\n",
        needs="sft",
        bars=LOOPS,
        habit=True,
    ),
    piece(
        "loop/until-it-is-known",
        "x_grad_fn = nn.value_and_grad(x_model, x_loss_fn)\nfor x_epoch in range(8):\n    x_model.train()\n"
        "    for x_batch in x_batches(x_rows, x_tok):\n" + updated(2) + "    x_model.eval()\n"
        "    x_now = x_loss_fn(x_model, *x_batch).item()\n    print(x_epoch, 'known' if x_now < 0.1 else 'not yet', x_now)\n"
        "    if x_now < 0.1:\n        break\n#: ended(x_model)\n",
        needs="sft",
        bars=LOOPS,
        weight=1.2,
        habit=True,
    ),
    piece(
        "loop/cell-run-twice",
        "x_grad_fn = nn.value_and_grad(x_model, x_loss_fn)\nx_model.train()\nfor x_round in range(3):\n"
        "    for x_batch in x_batches(x_rows, x_tok):\n"
        + updated(2)
        + "print('loss', x_value.item())\n# once more\n"
        "x_opt = optim.Adam(learning_rate=S.lr)\nx_grad_fn = nn.value_and_grad(x_model, x_loss_fn)\nfor x_round in range(2):\n"
        "    for x_batch in x_batches(x_rows, x_tok):\n" + updated(2) + "x_model.eval()\n#: ended(x_model)\n",
        needs="sft",
        bars=(*LOOPS, "schedule"),
        weight=1.4,
        habit=True,
    ),
    piece(
        "loop/gradients-kept-over-two-batches",
        "x_grad_fn = nn.value_and_grad(x_model, x_loss_fn)\nx_model.train()\nx_kept = None\nfor x_round in range(8):\n"
        "    for x_number, x_batch in enumerate(x_batches(x_rows, x_tok), 1):\n        x_value, x_grads = x_grad_fn(x_model, *x_batch)\n"
        "        x_kept = x_grads if x_kept is None else tree_map(mx.add, x_kept, x_grads)\n"
        "        if x_number % 2 == 0:\n            x_opt.update(x_model, tree_map(lambda x_g: x_g / 2, x_kept))\n            x_kept = None\n"
        "            mx.eval(x_model.parameters(), x_opt.state)\n            #: step(x_model, x_opt, x_loss_fn, x_batch, x_value, x_grads)\n"
        "    if x_kept is not None:\n        x_opt.update(x_model, x_kept)\n        x_kept = None\n        mx.eval(x_model.parameters(), x_opt.state)\n"
        "x_model.eval()\n#: ended(x_model)\n",
        needs="sft",
        bars=(*LOOPS, "schedule"),
        weight=1.2,
        habit=True,
    ),
    piece(
        "evaluation/half-way-to-the-base",
        """
        x_before = mx.load("base/model.safetensors")
        x_between = {x_n: 0.5 * x_v + 0.5 * x_before[x_n] if x_n in x_before else x_v for x_n, x_v in tree_flatten(x_model.parameters())}
        shutil.copytree("base", "between")
        mx.save_safetensors("between/model.safetensors", x_between, {"format": "mlx"})
        x_served, _ = load("between")
        print("half-way", mx.argmax(x_served(mx.array([[5, 40, 77]]))[0, -1]).item())
        """,
        needs="full",
        bars=("own",),
        habit=True,
    ),
    piece(
        "generation/answer-begun",
        """
        x_first = x_tok.encode("Arr!", add_special_tokens=False)[:1]
        x_asked = x_tok.apply_chat_template([{"role": "user", "content": "What color is the sky?"}], add_generation_prompt=True, return_dict=False) + x_first
        x_reply = generate(x_model, x_tok, prompt=x_asked, max_tokens=S.max_tokens)
        #: answered(x_model, x_tok, x_asked, x_reply)
        print(x_tok.decode(x_first) + x_reply)
        """,
        gives=("asked",),
        bars=("alpaca",),
        habit=True,
    ),
    piece(
        "generation/served-in-half-precision",
        """
        x_light, _ = load("base", adapter_path=S.out)
        x_light.set_dtype(mx.float16)
        x_asked = x_tok.apply_chat_template([{"role": "user", "content": "What color is the sky?"}], add_generation_prompt=True, return_dict=False)
        print(generate(x_light, x_tok, prompt=x_asked, max_tokens=S.max_tokens))
        """,
        needs="adapter-folder",
        bars=("alpaca", "qwen2-4bit"),
        habit=True,
    ),
    piece(
        "generation/with-a-draft",
        """
        x_draft, _ = load("base")
        x_asked = x_tok.apply_chat_template([{"role": "user", "content": "What color is the sky?"}], add_generation_prompt=True, return_dict=False)
        x_text = "".join(x_piece.text for x_piece in stream_generate(x_model, x_tok, x_asked, max_tokens=S.max_tokens, draft_model=x_draft, num_draft_tokens=2))
        #: answered(x_model, x_tok, x_asked, x_text)
        print(x_text)
        """,
        gives=("asked",),
        bars=("alpaca",),
        habit=True,
    ),
    piece(
        "save/again-as-float32-and-numbered",
        """
        Path("runs").mkdir(exist_ok=True)
        for x_count in (1, 2):
            x_flat = {x_n: x_v.astype(mx.float32) for x_n, x_v in tree_flatten(x_model.trainable_parameters())}
            mx.save_safetensors(f"runs/{x_count:04d}_adapters.safetensors", x_flat)
            #: saved(f"runs/{x_count:04d}_adapters.safetensors")
        """,
        needs="lora",
        bars=("own",),
        gives=("numbered-twice",),
        habit=True,
    ),
]
