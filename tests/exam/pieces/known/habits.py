"""What is customary and looks odd: no error may be raised at any of these."""

from tests.exam.grammar import piece

PIECES = [
    piece(
        "evaluation/averaged-weights",
        """
        x_live = dict(tree_flatten(x_model.trainable_parameters()))
        x_smooth = {x_n: 0.5 * (x_v + x_v) for x_n, x_v in x_live.items()}
        x_model.update(tree_unflatten(list(x_smooth.items())))
        mx.eval(x_model.parameters())
        x_model.update(tree_unflatten(list(x_live.items())))
        """,
        habit=True,
    ),
    piece(
        "evaluation/benchmark",
        """
        x_begin = time.perf_counter()
        for _ in range(3):
            mx.eval(x_model(mx.zeros((2, 32), dtype=mx.int32)))
        print(f"{3 * 64 / (time.perf_counter() - x_begin):.0f} tokens a second")
        """,
        habit=True,
    ),
    piece(
        "evaluation/accuracy-of-next-token",
        """
        x_right = x_all = 0
        for x_ids, _ in x_rows[:6]:
            x_guess = mx.argmax(x_model(mx.array([x_ids[:-1]])), axis=-1)[0]
            x_right += (x_guess == mx.array(x_ids[1:])).sum().item()
            x_all += len(x_ids) - 1
        print(f"next-token accuracy on training rows {x_right / x_all:.2f}")
        """,
        needs="sft",
        habit=True,
    ),
    piece(
        "data/overfit-one-batch",
        """
        x_rows = [x_encode(x_tok, x_m) for x_m in x_read("data/train.jsonl")][: S.batch]
        x_held = x_rows
        """,
        """
        def x_encode(x_tk, x_messages):
            x_ids = x_tk.apply_chat_template(x_messages, return_dict=False)
            return x_ids, len(x_tk.apply_chat_template(x_messages[:-1], add_generation_prompt=True, return_dict=False))


        def x_read(x_path):
            return [json.loads(x_line)["messages"] for x_line in open(x_path)]
        """,
        gives=("sft", "chat"),
        habit=True,
    ),
    piece(
        "loop/first-factor-fixed",
        """
        x_model.freeze(keys=["lora_a"], strict=False)
        x_vag = nn.value_and_grad(x_model, x_loss_fn)
        x_model.train()
        for x_round in range(4):
            for x_batch in x_batches(x_rows, x_tok):
                x_out, x_tree = x_vag(x_model, *x_batch)
                x_opt.update(x_model, x_tree)
                mx.eval(x_model.parameters(), x_opt.state)
                #: step(x_model, x_opt, x_loss_fn, x_batch, x_out, x_tree)
        x_model.unfreeze(keys=["lora_a"], strict=False)
        x_model.eval()
        #: ended(x_model)
        """,
        needs=("sft", "lora"),
        bars=("own", "anchored", "dora"),
        weight=1.3,
        habit=True,
    ),
    piece(
        "loop/relora",
        """
        x_model.train()
        for x_round in range(3):
            x_grad_fn = nn.value_and_grad(x_model, x_loss_fn)
            for x_batch in x_batches(x_rows, x_tok):
                x_value, x_grads = x_grad_fn(x_model, *x_batch)
                x_opt.update(x_model, x_grads)
                mx.eval(x_model.parameters(), x_opt.state)
                #: step(x_model, x_opt, x_loss_fn, x_batch, x_value, x_grads)
            if x_round < 2:
                x_merged = [(x_n, x_m.fuse()) for x_n, x_m in x_model.named_modules() if hasattr(x_m, "fuse")]
                x_model.update_modules(tree_unflatten(x_merged))
                x_model.freeze()
                linear_to_lora_layers(x_model, S.layers, {"rank": S.rank, "scale": S.scale, "dropout": S.dropout})
                x_opt = optim.AdamW(learning_rate=S.lr)
        x_model.eval()
        #: ended(x_model)
        """,
        needs="lora-call",
        bars=("own", "anchored", "lora-keys", "qwen2-4bit", "schedule", "llama-bfloat16", "mixtral"),
        gives=("relora", "norms-too"),
        weight=2.5,
        habit=True,
    ),
    piece(
        "loop/moving-average-kept",
        """
        x_grad_fn = nn.value_and_grad(x_model, x_loss_fn)
        x_average = dict(tree_flatten(x_model.trainable_parameters()))
        x_model.train()
        for _ in range(4):
            for x_batch in x_batches(x_rows, x_tok):
                x_value, x_grads = x_grad_fn(x_model, *x_batch)
                x_opt.update(x_model, x_grads)
                mx.eval(x_model.parameters(), x_opt.state)
                #: step(x_model, x_opt, x_loss_fn, x_batch, x_value, x_grads)
                for x_n, x_v in tree_flatten(x_model.trainable_parameters()):
                    x_average[x_n] = 0.8 * x_average[x_n] + 0.2 * x_v
        x_model.update(tree_unflatten(list(x_average.items())))
        mx.eval(x_model.parameters())
        x_model.eval()
        #: ended(x_model)
        """,
        bars=("own", "anchored"),
        habit=True,
    ),
    piece(
        "loop/rate-range-test",
        """
        x_grad_fn = nn.value_and_grad(x_model, x_loss_fn)
        x_keep = tree_map(lambda x_v: x_v, x_model.trainable_parameters())
        x_model.train()
        for x_try in (1e-4, 1e-3):
            x_probe = optim.SGD(learning_rate=x_try)
            for x_batch in list(x_batches(x_rows, x_tok))[:2]:
                x_value, x_grads = x_grad_fn(x_model, *x_batch)
                x_probe.update(x_model, x_grads)
                mx.eval(x_model.parameters())
            print(x_try, x_value.item())
            x_model.update(x_keep)
        for _ in range(4):
            for x_batch in x_batches(x_rows, x_tok):
                x_value, x_grads = x_grad_fn(x_model, *x_batch)
                x_opt.update(x_model, x_grads)
                mx.eval(x_model.parameters(), x_opt.state)
                #: step(x_model, x_opt, x_loss_fn, x_batch, x_value, x_grads)
        x_model.eval()
        #: ended(x_model)
        """,
        bars=("own", "anchored"),
        habit=True,
    ),
    piece(
        "loop/largest-batch-first",
        """
        x_vag = nn.value_and_grad(x_model, x_loss_fn)
        x_model.train()
        for x_try in (1, 2, 4):
            x_sample = next(iter(x_batches(x_rows[:x_try], x_tok)))
            x_out, x_tree = x_vag(x_model, *x_sample)
            mx.eval(x_out, x_tree)
            print("fits:", x_try)
        for x_round in range(4):
            for x_batch in x_batches(x_rows, x_tok):
                x_out, x_tree = x_vag(x_model, *x_batch)
                x_opt.update(x_model, x_tree)
                mx.eval(x_model.parameters(), x_opt.state)
                #: step(x_model, x_opt, x_loss_fn, x_batch, x_out, x_tree)
        x_model.eval()
        #: ended(x_model)
        """,
        needs="sft",
        bars=("own", "anchored"),
        habit=True,
    ),
]
