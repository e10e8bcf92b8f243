"""Losses, optimizers and loops."""

from tests.exam.grammar import piece

PIECES = [
    piece(
        "loss/masked-mean",
        "",
        """
        def x_loss_fn(x_m, x_ids, x_mask):
            x_logits = x_m(x_ids[:, :-1])
            x_targets, x_weights = x_ids[:, 1:], x_mask[:, 1:]
            x_ce = nn.losses.cross_entropy(x_logits, x_targets)
            return (x_ce * x_weights).sum() / x_weights.sum()
        """,
        needs="sft",
        gives=("weights", "shifted", "logits"),
        weight=3,
    ),
    piece(
        "loss/log-softmax",
        "",
        """
        def x_loss_fn(x_m, x_ids, x_mask):
            x_logits = x_m(x_ids)[:, :-1].astype(mx.float32)
            x_targets, x_weights = x_ids[:, 1:], x_mask[:, 1:]
            x_logp = nn.log_softmax(x_logits, axis=-1)
            x_picked = mx.take_along_axis(x_logp, x_targets[..., None], axis=-1).squeeze(-1)
            return -(x_picked * x_weights).sum() / mx.maximum(x_weights.sum(), 1)
        """,
        needs="sft",
        gives=("weights", "shifted", "logits"),
        weight=2,
    ),
    piece(
        "loss/logsumexp",
        "",
        """
        def x_loss_fn(x_m, x_ids, x_mask):
            x_inputs, x_targets = x_ids[:, :-1], x_ids[:, 1:]
            x_weights = x_mask[:, 1:]
            x_logits = x_m(x_inputs)
            x_score = mx.take_along_axis(x_logits, mx.expand_dims(x_targets, -1), axis=-1).squeeze(-1)
            x_nll = mx.logsumexp(x_logits, axis=-1) - x_score
            x_count = x_weights.sum()
            return (x_nll * x_weights).astype(mx.float32).sum() / x_count
        """,
        needs="sft",
        gives=("weights", "shifted", "logits"),
        weight=2,
    ),
    piece(
        "loss/row-mean",
        "",
        """
        def x_loss_fn(x_m, x_ids, x_mask):
            x_logits = x_m(x_ids[:, :-1])
            x_targets, x_weights = x_ids[:, 1:], x_mask[:, 1:]
            x_ce = nn.losses.cross_entropy(x_logits, x_targets, reduction="none")
            x_rowwise = (x_ce * x_weights).sum(axis=1) / mx.maximum(x_weights.sum(axis=1), 1)
            return x_rowwise.mean()
        """,
        needs="sft",
        gives=("weights", "shifted", "logits"),
    ),
    piece(
        "loss/smoothed",
        "",
        """
        def x_loss_fn(x_m, x_ids, x_mask):
            x_logits = x_m(x_ids[:, :-1])
            x_targets, x_weights = x_ids[:, 1:], x_mask[:, 1:]
            x_ce = nn.losses.cross_entropy(x_logits, x_targets, label_smoothing=S.smoothing)
            return (x_ce * x_weights).sum() / x_weights.sum()
        """,
        needs="sft",
        gives=("weights", "shifted", "logits"),
    ),
    piece(
        "loss/dpo",
        """
        x_ref, _ = load("base")
        x_ref.freeze()
        """,
        """
        def x_logps(x_m, x_ids, x_mask):
            x_logp = nn.log_softmax(x_m(x_ids[:, :-1]).astype(mx.float32), axis=-1)
            x_picked = mx.take_along_axis(x_logp, x_ids[:, 1:, None], axis=-1)[..., 0]
            return (x_picked * x_mask[:, 1:]).sum(axis=-1)


        def x_loss_fn(x_m, x_ids, x_mask, x_anchor):
            x_policy = x_logps(x_m, x_ids, x_mask)
            x_half = x_ids.shape[0] // 2
            x_ratio = x_policy - x_anchor
            x_margin = x_ratio[:x_half] - x_ratio[x_half:]
            return -nn.log_sigmoid(S.beta * x_margin).mean()
        """,
        needs="pairs",
        gives=("dpo", "anchored"),
        weight=2,
    ),
    piece(
        "loss/orpo",
        "",
        """
        def x_loss_fn(x_m, x_ids, x_mask):
            x_logp = nn.log_softmax(x_m(x_ids[:, :-1]).astype(mx.float32), axis=-1)
            x_picked = mx.take_along_axis(x_logp, x_ids[:, 1:, None], axis=-1)[..., 0]
            x_mean = (x_picked * x_mask[:, 1:]).sum(axis=-1) / x_mask[:, 1:].sum(axis=-1)
            x_half = x_ids.shape[0] // 2
            x_good, x_bad = x_mean[:x_half], x_mean[x_half:]
            x_odds = (x_good - x_bad) - (mx.log1p(-mx.exp(x_good) + 1e-6) - mx.log1p(-mx.exp(x_bad) + 1e-6))
            return -x_good.mean() - S.beta * nn.log_sigmoid(x_odds).mean()
        """,
        needs="pairs",
        gives=("orpo",),
    ),
    piece("loss/mlx-lm", needs="own"),
    # AdamW decays by 0.01 unless told otherwise
    piece("optimizer/adamw", "x_opt = optim.AdamW(learning_rate=S.lr)\n", weight=2, gives="decay"),
    piece(
        "optimizer/adam",
        "x_opt = optim.Adam(learning_rate=S.lr, betas=[0.9, 0.95], bias_correction=True)\n",
        weight=3,
    ),
    piece(
        "optimizer/adamw-decay",
        "x_opt = optim.AdamW(learning_rate=S.lr, weight_decay=S.decay)\n",
        weight=2,
        gives="decay",
    ),
    piece(
        "optimizer/warmup-cosine",
        """
        x_warm = optim.linear_schedule(1e-5, S.lr, S.warmup)
        x_decay = optim.cosine_decay(S.lr, S.steps - S.warmup)
        x_opt = optim.AdamW(learning_rate=optim.join_schedules([x_warm, x_decay], [S.warmup]))
        """,
        gives=("schedule", "decay"),
        bars=("own",),
        weight=2,
    ),
    piece("optimizer/lion", "x_opt = optim.Lion(learning_rate=S.lr / 4)\n", bars=("llama-bfloat16",)),
    piece(
        "loop/plain",
        """
        x_grad_fn = nn.value_and_grad(x_model, x_loss_fn)
        x_model.train()
        x_done = 0
        while x_done < S.steps:
            for x_batch in x_batches(x_rows, x_tok):
                x_value, x_grads = x_grad_fn(x_model, *x_batch)
                x_opt.update(x_model, x_grads)
                mx.eval(x_model.parameters(), x_opt.state)
                #: step(x_model, x_opt, x_loss_fn, x_batch, x_value, x_grads)
                x_done += 1
                if x_done % 4 == 0:
                    print(f"step {x_done}: loss {x_value.item():.4f}")
                if x_done >= S.steps:
                    break
        x_model.eval()
        #: ended(x_model)
        """,
        bars=("own", "anchored"),
        gives=("eager",),
        weight=3,
    ),
    piece(
        "loop/epochs-clipped",
        """
        x_grad_fn = nn.value_and_grad(x_model, x_loss_fn)
        x_losses = []
        for x_epoch in range(S.epochs):
            x_model.train()
            for x_batch in x_batches(x_rows, x_tok):
                x_value, x_grads = x_grad_fn(x_model, *x_batch)
                x_grads, x_norm = optim.clip_grad_norm(x_grads, S.clip)
                x_opt.update(x_model, x_grads)
                mx.eval(x_model.parameters(), x_opt.state, x_value)
                x_losses.append(x_value.item())
                #: step(x_model, x_opt, x_loss_fn, x_batch, x_value, x_grads)
            print(f"epoch {x_epoch}: {sum(x_losses) / len(x_losses):.3f}")
        x_model.eval()
        #: ended(x_model)
        """,
        bars=("own", "anchored", "schedule"),
        settings={"epochs": 4},
        gives=("eager", "clipped", "epochs"),
        weight=2,
    ),
    piece(
        "loop/compiled",
        """
        x_captured = [x_model.state, x_opt.state, mx.random.state]
        x_grad_fn = nn.value_and_grad(x_model, x_loss_fn)


        @partial(mx.compile, inputs=x_captured, outputs=x_captured)
        def x_step(*x_batch):
            x_value, x_grads = x_grad_fn(x_model, *x_batch)
            x_opt.update(x_model, x_grads)
            return x_value


        x_model.train()
        x_done = 0
        while x_done < S.steps:
            for x_batch in x_batches(x_rows, x_tok):
                x_value = x_step(*x_batch)
                mx.eval(x_captured, x_value)
                #: step(x_model, x_opt, x_loss_fn, x_batch, x_value)
                x_done += 1
                if x_done % 8 == 0:
                    print("iter", x_done, "loss", x_value.item())
                if x_done == S.steps:
                    break
        x_model.eval()
        #: ended(x_model)
        """,
        bars=("own", "anchored"),
        gives=("compiled",),
        weight=2,
    ),
    piece(
        "loop/accumulating",
        """
        x_grad_fn = nn.value_and_grad(x_model, x_loss_fn)
        x_model.train()
        x_micro, x_sum = 0, None
        while x_micro < S.steps * S.accumulate:
            for x_batch in x_batches(x_rows, x_tok):
                x_value, x_grads = x_grad_fn(x_model, *x_batch)
                x_sum = x_grads if x_sum is None else tree_map(lambda a, b: a + b, x_sum, x_grads)
                mx.eval(x_sum)
                x_micro += 1
                if x_micro % S.accumulate == 0:
                    x_opt.update(x_model, tree_map(lambda a: a / S.accumulate, x_sum))
                    mx.eval(x_model.parameters(), x_opt.state)
                    x_sum = None
                    #: step(x_model, x_opt, x_loss_fn, x_batch, x_value, x_grads)
                if x_micro >= S.steps * S.accumulate:
                    break
        x_model.eval()
        #: ended(x_model)
        """,
        bars=("own", "anchored", "sorted"),
        settings={"accumulate": 2},
        gives=("accumulating",),
        weight=2,
    ),
    piece(
        "loop/anchored",
        """
        x_grad_fn = nn.value_and_grad(x_model, x_loss_fn)
        x_model.train()
        x_done = 0
        while x_done < S.steps:
            for x_ids, x_mask in x_batches(x_rows, x_tok):
                x_anchor = mx.stop_gradient(x_logps(x_ref, x_ids, x_mask))
                x_value, x_grads = x_grad_fn(x_model, x_ids, x_mask, x_anchor)
                x_opt.update(x_model, x_grads)
                mx.eval(x_model.parameters(), x_opt.state)
                #: step(x_model, x_opt, x_loss_fn, (x_ids, x_mask, x_anchor), x_value, x_grads)
                x_done += 1
                print(f"step {x_done}: {x_value.item():.4f}")
                if x_done >= S.steps:
                    break
        x_model.eval()
        #: ended(x_model)
        """,
        needs="dpo",
        gives=("eager",),
    ),
    piece(
        "loop/mlx-lm-train",
        """
        x_settings = TrainingArgs(
            batch_size=S.batch, iters=S.steps, steps_per_report=5, steps_per_eval=50, steps_per_save=100, adapter_file="latest.safetensors"
        )
        train(x_model, x_opt, x_rows, x_held, args=x_settings)
        x_model.eval()
        #: ended(x_model)
        """,
        needs="own",
        gives=("mlx-lm-loop",),
    ),
]
