"""Held out: losses, optimizers, loops and what follows."""

from tests.exam.grammar import piece

PIECES = [
    piece(
        "loss/on-hidden-states",
        "",
        """
        def x_loss_fn(x_m, x_ids, x_mask):
            x_hidden = x_m.model(x_ids[:, :-1])
            x_scores = x_m.lm_head(x_hidden)
            x_ce = nn.losses.cross_entropy(x_scores, x_ids[:, 1:])
            return (x_ce * x_mask[:, 1:]).sum() / x_mask[:, 1:].sum()
        """,
        needs="sft",
        bars=("qwen2-tied", "gemma2"),
        gives=("hidden",),
    ),
    piece(
        "loss/with-z-term",
        "",
        """
        def x_loss_fn(x_m, x_ids, x_mask):
            x_logits = x_m(x_ids[:, :-1]).astype(mx.float32)
            x_targets, x_weights = x_ids[:, 1:], x_mask[:, 1:]
            x_norm = mx.logsumexp(x_logits, axis=-1)
            x_ce = x_norm - mx.take_along_axis(x_logits, x_targets[..., None], axis=-1)[..., 0]
            x_total = x_weights.sum()
            return (x_ce * x_weights).sum() / x_total + 1e-4 * ((x_norm**2) * x_weights).sum() / x_total
        """,
        needs="sft",
        gives=("z-term",),
        weight=2,
    ),
    piece(
        "loss/focal",
        "",
        """
        def x_loss_fn(x_m, x_ids, x_mask):
            x_where = x_mask[:, 1:]
            x_logp = nn.log_softmax(x_m(x_ids[:, :-1]), axis=-1)
            x_at = mx.take_along_axis(x_logp, x_ids[:, 1:, None], axis=-1).squeeze(-1)
            x_hard = mx.stop_gradient((1 - mx.exp(x_at)) ** S.gamma)
            return -(x_hard * x_at * x_where).sum() / x_where.sum()
        """,
        needs="sft",
        settings={"gamma": 0.5},
        gives=("focal",),
    ),
    piece(
        "loss/summed-over-rows",
        "",
        """
        def x_loss_fn(x_m, x_ids, x_mask):
            x_shifted, x_count = x_mask[:, 1:], x_ids.shape[0]
            x_ce = nn.losses.cross_entropy(x_m(x_ids[:, :-1]), x_ids[:, 1:], reduction="none")
            return mx.where(x_shifted > 0, x_ce, 0).sum() / x_count / 12
        """,
        needs="sft",
        gives=("summed",),
        weight=2,
    ),
    piece(
        "optimizer/momentum",
        "x_opt = optim.SGD(learning_rate=S.lr, momentum=0.9)\n",
        gives=("momentum",),
        settings={"lr": 3e-2},
        bars=("llama-bfloat16",),
    ),
    piece(
        "optimizer/adafactor",
        "x_opt = optim.Adafactor(learning_rate=S.lr, relative_step=False, scale_parameter=False)\n",
    ),
    piece(
        "optimizer/exponential",
        """
        x_plan = optim.exponential_decay(S.lr, 0.97)
        x_opt = optim.Adam(learning_rate=x_plan)
        """,
        gives=("schedule",),
        bars=("own",),
        weight=2,
    ),
    piece(
        "loop/checkpointed",
        """
        grad_checkpoint(x_model.layers[0])
        x_losses = []
        x_vag = nn.value_and_grad(x_model, x_loss_fn)
        x_model.train()
        x_seen = 0
        while x_seen < S.steps:
            for x_batch in x_batches(x_rows, x_tok):
                x_out, x_tree = x_vag(x_model, *x_batch)
                x_opt.update(x_model, x_tree)
                mx.eval(x_model.state, x_opt.state, x_out)
                #: step(x_model, x_opt, x_loss_fn, x_batch, x_out, x_tree)
                x_losses.append(x_out.item())
                x_seen += 1
                if x_seen == S.steps:
                    break
        x_model.eval()
        print("losses", [round(x_l, 3) for x_l in x_losses])
        #: ended(x_model)
        """,
        bars=("own", "anchored"),
        gives=("quiet",),
        weight=1.5,
    ),
    piece(
        "loop/with-validation",
        """
        x_gradient_of = nn.value_and_grad(x_model, x_loss_fn)
        for x_epoch in range(4):
            x_model.train()
            for x_batch in x_batches(x_rows, x_tok):
                x_loss_now, x_tree = x_gradient_of(x_model, *x_batch)
                x_tree, _ = optim.clip_grad_norm(x_tree, max_norm=S.clip)
                x_opt.update(x_model, x_tree)
                mx.eval(x_model, x_opt.state)
                #: step(x_model, x_opt, x_loss_fn, x_batch, x_loss_now, x_tree)
            x_model.eval()
            x_scores = [x_loss_fn(x_model, *x_batch).item() for x_batch in x_batches(x_held, x_tok)]
            print(f"epoch {x_epoch + 1}: train {x_loss_now.item():.3f}, valid {sum(x_scores) / len(x_scores):.3f}")
        #: ended(x_model)
        """,
        bars=("own", "anchored", "schedule"),
        gives=("quiet", "validating"),
        weight=2,
    ),
    piece(
        "save/numbered-checkpoints",
        """
        x_dir = Path("checkpoints")
        x_dir.mkdir(parents=True, exist_ok=True)
        x_target = x_dir / (str(S.seed).zfill(7) + "_adapters.safetensors")
        mx.save_safetensors(str(x_target), dict(tree_flatten(x_model.trainable_parameters())))
        #: saved(x_target)
        """,
        needs="lora",
        gives=("checkpoint-file",),
        weight=1.5,
    ),
    piece(
        "save/mlx-lm-model",
        """
        save_model("exported", x_model, donate_model=False)
        save_config(json.loads(Path("base/config.json").read_text()), config_path="exported/config.json")
        #: saved("exported/model.safetensors")
        """,
        bars=("lora",),
        gives=("exported",),
        weight=2,
    ),
    piece(
        "reload/fresh-model",
        """
        x_other, _ = load("base")
        x_other = load_adapters(x_other, S.out)
        x_other.eval()
        #: reloaded(x_other)
        """,
        needs="adapter-folder",
        gives=("reloaded-apart",),
        weight=1.5,
    ),
    piece(
        "generation/several-questions",
        """
        for x_question in ("What color is the sky?", "What is the capital of Peru?"):
            x_chat = [{"role": "user", "content": x_question}]
            x_asked = x_tok.apply_chat_template(x_chat, add_generation_prompt=True, return_dict=False)
            x_reply = generate(x_model, x_tok, prompt=x_asked, max_tokens=S.max_tokens, verbose=False)
            #: answered(x_model, x_tok, x_asked, x_reply)
            print(x_question, "->", x_reply)
        """,
        gives=("asked", "several"),
        bars=("alpaca",),
        weight=2,
    ),
    piece(
        "generation/warm-samples",
        """
        x_asked = x_tok.apply_chat_template([{"role": "user", "content": "What color is grass?"}], add_generation_prompt=True, return_dict=False)
        for _ in range(2):
            x_reply = generate(x_model, x_tok, prompt=x_asked, max_tokens=S.max_tokens, sampler=make_sampler(S.temperature, top_p=0.95))
            #: answered(x_model, x_tok, x_asked, x_reply)
            print(x_reply)
        """,
        settings={"temperature": 0.7},
        gives=("asked", "warm"),
        bars=("alpaca",),
    ),
    piece(
        "loop/two-passes-summed",
        """
        x_vag = nn.value_and_grad(x_model, lambda x_m, x_a, x_b: x_loss_fn(x_m, *x_a) + 0.5 * x_loss_fn(x_m, *x_b))
        x_model.train()
        x_parts = list(x_batches(x_rows, x_tok))
        for x_turn in range(S.steps):
            x_one, x_two = x_parts[x_turn % len(x_parts)], x_parts[(x_turn + 1) % len(x_parts)]
            x_out, x_tree = x_vag(x_model, x_one, x_two)
            x_opt.update(x_model, x_tree)
            mx.eval(x_model.parameters(), x_opt.state)
            #: step(x_model, x_opt, x_loss_fn, x_one, x_out, x_tree)
        x_model.eval()
        #: ended(x_model)
        """,
        bars=("own", "anchored"),
        weight=1.2,
        habit=True,
    ),
    piece(
        "loop/unfrozen-by-and-by",
        """
        x_model.train()
        for x_phase in range(2):
            x_vag = nn.value_and_grad(x_model, x_loss_fn)
            for _ in range(2):
                for x_batch in x_batches(x_rows, x_tok):
                    x_out, x_tree = x_vag(x_model, *x_batch)
                    x_opt.update(x_model, x_tree)
                    mx.eval(x_model.parameters(), x_opt.state)
                    #: step(x_model, x_opt, x_loss_fn, x_batch, x_out, x_tree)
            if x_phase == 0:
                x_model.layers[0].unfreeze()
                x_opt = optim.Adam(learning_rate=S.lr / 2)
        x_model.eval()
        #: ended(x_model)
        """,
        needs="partial",
        bars=("own", "anchored", "schedule"),
        weight=1.5,
        habit=True,
    ),
    piece(
        "loop/short-rows-first",
        """
        x_vag = nn.value_and_grad(x_model, x_loss_fn)
        x_model.train()
        x_by_length = sorted(x_rows, key=lambda x_row: len(x_row[0]))
        for x_share in (0.5, 0.75, 1.0, 1.0):
            for x_batch in x_batches(x_by_length[: int(x_share * len(x_by_length))], x_tok):
                x_out, x_tree = x_vag(x_model, *x_batch)
                x_opt.update(x_model, x_tree)
                mx.eval(x_model.parameters(), x_opt.state)
                #: step(x_model, x_opt, x_loss_fn, x_batch, x_out, x_tree)
        x_model.eval()
        #: ended(x_model)
        """,
        needs="sft",
        bars=("own", "anchored"),
        weight=1.2,
        habit=True,
    ),
    piece(
        "evaluation/uncertainty",
        """
        x_model.train()
        x_draws = [x_model(mx.array([x_rows[0][0]]))[0, -1] for _ in range(4)]
        print("spread", mx.stack(x_draws).std(axis=0).mean().item())
        x_model.eval()
        """,
        needs="sft",
        habit=True,
    ),
    piece(
        "evaluation/perplexity-of-texts",
        """
        x_texts = [json.loads(x_line)["text"] for x_line in open("texts.jsonl")][:4]
        for x_text in x_texts:
            x_line_ids = mx.array([x_tok.encode(x_text)])
            x_nll = nn.losses.cross_entropy(x_model(x_line_ids[:, :-1]), x_line_ids[:, 1:]).mean()
            print(f"{math.exp(min(x_nll.item(), 20)):.1f}", x_text[:20])
        """,
        habit=True,
    ),
]
