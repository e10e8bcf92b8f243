"""Held out: other records, a loop that keeps the best state, other saves and reloads, and customs that look odd."""

from tests.exam.grammar import piece

PIECES = [
    piece(
        "data/alpaca-format",
        """
        x_rows = []
        for x_line in map(json.loads, open("plain.jsonl")):
            x_rows.append(x_encode(x_tok, x_fill(x_line["prompt"]), x_line["completion"]))
        x_rows, x_held = x_rows[2:], x_rows[:2]
        """,
        """
        x_FORM = "### Instruction:\\n{}\\n\\n### Response:\\n"


        def x_fill(x_instruction):
            return x_FORM.format(x_instruction)


        def x_encode(x_tk, x_head, x_tail):
            x_first = x_tk.encode(x_head)
            x_last = x_tk.encode(x_tail, add_special_tokens=False)
            return x_first + x_last + [x_tk.eos_token_id], len(x_first)
        """,
        gives=("sft", "alpaca"),
        weight=1.5,
    ),
    piece(
        "data/mlx-lm-completions",
        """
        x_lines = [json.loads(l) for l in open("plain.jsonl")]
        x_rows = CacheDataset(CompletionsDataset(x_lines[:10], x_tok, prompt_key="prompt", completion_key="completion", mask_prompt=True))
        x_held = CacheDataset(CompletionsDataset(x_lines[10:], x_tok, prompt_key="prompt", completion_key="completion", mask_prompt=True))
        #: note("first row", x_tok.decode(x_rows[0][0]))
        """,
        gives=("own", "chat"),
    ),
    piece(
        "data/ranked-answers",
        """
        x_rows, x_held = [], []
        for x_pair in map(json.loads, open("pairs.jsonl")):
            x_scored = [{"score": 9, "text": x_pair["chosen"]}, {"score": 2, "text": x_pair["rejected"]}]
            x_order = sorted(x_scored, key=lambda x_one: x_one["score"], reverse=True)
            x_rows.append(tuple(x_encode(x_tok, x_pair["prompt"], x_one["text"]) for x_one in x_order))
        x_held, x_rows = x_rows[-2:], x_rows[:-2]
        """,
        """
        def x_encode(x_tk, x_asked, x_said):
            x_turns = [{"role": "user", "content": x_asked}]
            x_start = len(x_tk.apply_chat_template(x_turns, add_generation_prompt=True, return_dict=False))
            x_turns.append({"role": "assistant", "content": x_said})
            return x_tk.apply_chat_template(x_turns, return_dict=False), x_start
        """,
        gives=("pairs", "ranked", "chat"),
    ),
    piece(
        "loop/keeps-the-best",
        """
        x_vag = nn.value_and_grad(x_model, x_loss_fn)
        x_lowest = math.inf
        x_scores = []
        x_best = tree_map(lambda x_v: x_v, x_model.trainable_parameters())
        for x_epoch in range(5):
            x_model.train()
            for x_batch in x_batches(x_rows, x_tok):
                x_out, x_tree = x_vag(x_model, *x_batch)
                x_opt.update(x_model, x_tree)
                mx.eval(x_model.parameters(), x_opt.state)
                #: step(x_model, x_opt, x_loss_fn, x_batch, x_out, x_tree)
            x_model.eval()
            x_parts = [x_loss_fn(x_model, *x_batch).item() for x_batch in x_batches(x_held, x_tok)]
            x_score = sum(x_parts) / len(x_parts)
            x_scores.append(x_score)
            if x_score < x_lowest:
                x_lowest = x_score
                x_best = tree_map(lambda x_v: x_v, x_model.trainable_parameters())
        x_model.update(x_best)
        mx.eval(x_model.parameters())
        print("best of", [round(x_s, 3) for x_s in x_scores])
        #: note("scores", x_scores)
        #: note("kept", sum(x_loss_fn(x_model, *x_batch).item() for x_batch in x_batches(x_held, x_tok)) / len(x_parts))
        #: ended(x_model)
        """,
        bars=("own", "anchored", "schedule"),
        gives=("quiet", "keeps-best"),
        weight=2,
    ),
    piece(
        "reload/built-again",
        """
        x_second, _ = load("base")
        x_second.freeze()
        x_known = json.loads((Path(S.out) / "adapter_config.json").read_text())
        linear_to_lora_layers(x_second, x_known["num_layers"], x_known["lora_parameters"])
        x_second.load_weights(str(Path(S.out) / "adapters.safetensors"), strict=False)
        x_second.eval()
        #: reloaded(x_second)
        """,
        needs="adapter-folder",
        bars=("dora",),
        gives=("reloaded-apart",),
    ),
    piece(
        "generation/as-the-rows-were-filled",
        """
        x_asked = x_tok.encode(x_fill("What color is the sky?"))
        x_reply = generate(x_model, x_tok, prompt=x_asked, max_tokens=S.max_tokens)
        #: answered(x_model, x_tok, x_asked, x_reply)
        print(x_reply)
        """,
        needs="alpaca",
        gives=("asked",),
        weight=4,
    ),
    piece(
        "loop/there-and-back",
        """
        x_vag = nn.value_and_grad(x_model, x_loss_fn)
        x_model.train()
        for x_round in range(4):
            x_all = list(x_batches(x_rows, x_tok))
            for x_batch in reversed(x_all) if x_round % 2 else x_all:
                x_out, x_tree = x_vag(x_model, *x_batch)
                x_opt.update(x_model, x_tree)
                mx.eval(x_model.parameters(), x_opt.state)
                #: step(x_model, x_opt, x_loss_fn, x_batch, x_out, x_tree)
        x_model.eval()
        #: ended(x_model)
        """,
        needs=("sft",),
        bars=("own", "anchored"),
        habit=True,
    ),
    piece(
        "evaluation/with-and-without-the-adapter",
        """
        x_scales = {}
        for x_name, x_module in x_model.named_modules():
            if hasattr(x_module, "lora_b"):
                x_scales[x_name] = x_module.scale
                x_module.scale = 0.0
        x_ground = mx.softmax(x_model(mx.array([x_rows[0][0]]))[0, -1])
        for x_name, x_module in x_model.named_modules():
            if x_name in x_scales:
                x_module.scale = x_scales[x_name]
        x_tuned = mx.softmax(x_model(mx.array([x_rows[0][0]]))[0, -1])
        print("moved by", mx.abs(x_ground - x_tuned).sum().item())
        """,
        needs=("sft", "lora"),
        habit=True,
    ),
    piece(
        "loop/noise-on-embeddings-while-training",
        """
        x_embedding = type(x_model.model.embed_tokens)
        x_quiet = x_embedding.__call__
        x_embedding.__call__ = lambda x_e, x_i: (lambda x_o: x_o + 0.01 * mx.random.uniform(-1, 1, x_o.shape).astype(x_o.dtype))(x_quiet(x_e, x_i))
        x_vag = nn.value_and_grad(x_model, x_loss_fn)
        x_model.train()
        for x_round in range(4):
            for x_batch in x_batches(x_rows, x_tok):
                x_out, x_tree = x_vag(x_model, *x_batch)
                x_opt.update(x_model, x_tree)
                mx.eval(x_model.parameters(), x_opt.state)
                #: step(x_model, x_opt, x_loss_fn, x_batch, x_out, x_tree)
        x_embedding.__call__ = x_quiet
        x_model.eval()
        #: ended(x_model)
        """,
        needs="sft",
        bars=("own", "anchored"),
        habit=True,
    ),
]
