"""Rows in other shapes (packed, padded at the left) and losses that are no cross-entropy on rows: KTO, distillation, GRPO."""

from tests.exam.grammar import piece

PIECES = [
    piece(
        "batching/packed",
        "",
        """
        def x_batches(x_data, x_tk):
            x_stream, x_flags, x_full = [], [], []
            for x_ids, x_start in x_data:
                if x_stream and len(x_stream) + len(x_ids) > S.max_len:
                    x_full.append((x_stream, x_flags))
                    x_stream, x_flags = [], []
                x_stream = x_stream + x_ids
                x_flags = x_flags + [0.0] * x_start + [1.0] * (len(x_ids) - x_start)
            x_full.append((x_stream, x_flags))
            for x_at in range(0, len(x_full), 2):
                x_part = x_full[x_at : x_at + 2]
                x_width = max(len(x_one) for x_one, _ in x_part)
                x_padded = [x_one + [x_tk.pad_token_id] * (x_width - len(x_one)) for x_one, _ in x_part]
                x_mask = [x_two + [0.0] * (x_width - len(x_two)) for _, x_two in x_part]
                yield mx.array(x_padded), mx.array(x_mask)
        """,
        needs="sft",
        settings={"max_len": 112},
        gives=("packed",),
    ),
    piece(
        "batching/left-padded",
        "",
        """
        def x_batches(x_data, x_tk):
            for x_at in range(0, len(x_data), S.batch):
                x_part = x_data[x_at : x_at + S.batch]
                x_width = max(len(x_ids) for x_ids, _ in x_part)
                x_padded, x_mask = [], []
                for x_ids, x_start in x_part:
                    x_before = x_width - len(x_ids)
                    x_padded.append([x_tk.pad_token_id] * x_before + x_ids)
                    x_mask.append([0.0] * (x_before + x_start) + [1.0] * (len(x_ids) - x_start))
                yield mx.array(x_padded), mx.array(x_mask)
        """,
        needs="sft",
        gives=("left",),
    ),
    piece(
        "loss/kto",
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
            x_half = x_ids.shape[0] // 2
            x_ratio = x_logps(x_m, x_ids, x_mask) - x_anchor
            x_point = mx.maximum(mx.stop_gradient(x_ratio.mean()), 0)
            x_liked = 1 - mx.sigmoid(S.beta * (x_ratio[:x_half] - x_point))
            x_disliked = 1 - mx.sigmoid(S.beta * (x_point - x_ratio[x_half:]))
            return mx.concatenate([x_liked, x_disliked]).mean()
        """,
        needs="pairs",
        gives=("dpo", "anchored"),
    ),
    piece(
        "loss/distilled",
        """
        x_ref, _ = load("base")
        x_ref.freeze()
        """,
        """
        def x_loss_fn(x_m, x_ids, x_mask, x_soft):
            x_logits = x_m(x_ids[:, :-1]).astype(mx.float32)
            x_weights = x_mask[:, 1:]
            x_ce = nn.losses.cross_entropy(x_logits, x_ids[:, 1:])
            x_kl = (mx.exp(x_soft) * (x_soft - nn.log_softmax(x_logits, axis=-1))).sum(axis=-1)
            return ((0.8 * x_ce + 0.2 * x_kl) * x_weights).sum() / x_weights.sum()
        """,
        needs="sft",
        gives=("anchored", "distilled"),
    ),
    piece(
        "loop/distilling",
        """
        x_grad_fn = nn.value_and_grad(x_model, x_loss_fn)
        x_model.train()
        x_done = 0
        while x_done < S.steps:
            for x_ids, x_mask in x_batches(x_rows, x_tok):
                x_soft = mx.stop_gradient(nn.log_softmax(x_ref(x_ids[:, :-1]).astype(mx.float32), axis=-1))
                x_value, x_grads = x_grad_fn(x_model, x_ids, x_mask, x_soft)
                x_opt.update(x_model, x_grads)
                mx.eval(x_model.parameters(), x_opt.state)
                #: step(x_model, x_opt, x_loss_fn, (x_ids, x_mask, x_soft), x_value, x_grads)
                x_done += 1
                if x_done >= S.steps:
                    break
        x_model.eval()
        #: ended(x_model)
        """,
        needs="distilled",
        gives=("eager",),
    ),
    piece(
        "data/prompts",
        """
        x_rows = [x_ask(x_tok, json.loads(x_line)["messages"]) for x_line in open("data/train.jsonl")]
        x_held = [x_ask(x_tok, json.loads(x_line)["messages"]) for x_line in open("data/valid.jsonl")]
        """,
        """
        def x_ask(x_tk, x_messages):
            return x_tk.apply_chat_template(x_messages[:-1], add_generation_prompt=True, return_dict=False)
        """,
        gives=("prompts", "chat"),
        weight=1.5,
    ),
    piece("batching/groups", needs="prompts"),
    piece(
        "loss/policy",
        "",
        """
        def x_reward(x_text):
            return -abs(len(x_text) - 14) / 14


        def x_loss_fn(x_m, x_ids, x_start, x_gain):
            x_logp = -nn.losses.cross_entropy(x_m(x_ids[:, :-1]), x_ids[:, 1:])[:, x_start - 1 :]
            x_ratio = mx.exp(x_logp - mx.stop_gradient(x_logp))
            return -(x_ratio * x_gain[:, None]).mean()
        """,
        needs="prompts",
        gives=("anchored", "policy"),
    ),
    piece(
        "loop/grpo",
        """
        x_grad_fn = nn.value_and_grad(x_model, x_loss_fn)
        for x_done in range(S.steps):
            x_question = x_rows[x_done % len(x_rows)]
            x_ids = mx.array([x_question] * 6)
            for _ in range(10):
                x_next = mx.random.categorical(x_model(x_ids)[:, -1] / 4.0)
                x_ids = mx.concatenate([x_ids, x_next[:, None]], axis=1)
            x_scores = mx.array([x_reward(x_tok.decode(x_one[len(x_question) :])) for x_one in x_ids.tolist()])
            x_gain = (x_scores - x_scores.mean()) / (mx.std(x_scores) + 1e-4)
            x_value, x_grads = x_grad_fn(x_model, x_ids, len(x_question), x_gain)
            x_opt.update(x_model, x_grads)
            mx.eval(x_model.parameters(), x_opt.state)
            #: step(x_model, x_opt, x_loss_fn, (x_ids, len(x_question), x_gain), x_value, x_grads)
            print(f"step {x_done}: reward {x_scores.mean().item():.3f}")
        #: ended(x_model)
        """,
        needs="policy",
        bars=("schedule", "dropout"),  # samples are drawn in training mode
        gives=("eager", "epochs"),
    ),
]
