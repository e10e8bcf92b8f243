"""Held out: other ways to load, to keep and batch rows, to write a loss, to go on, to save and to talk."""

from tests.exam.grammar import piece
from tests.exam.pieces.measured.setups import ENCODE

PIECES = [
    piece(
        "model/loaded-in-parts",
        """
        x_model, x_config = load_model(Path("base"), lazy=True)
        mx.eval(x_model.parameters())
        x_tok = load_tokenizer(Path("base"))
        print(x_config["model_type"], "of", x_config["num_hidden_layers"], "layers")
        mx.random.seed(S.seed)
        #: loaded(x_model)
        """,
    ),
    piece(
        "data/flat-array-with-offsets",
        """
        x_made = [x_encode(x_tok, json.loads(x_line)["messages"]) for x_line in open("data/train.jsonl")]
        np.save("tokens.npy", np.concatenate([x_ids for x_ids, _ in x_made]).astype(np.uint16))
        x_ends = np.cumsum([len(x_ids) for x_ids, _ in x_made])
        x_flat = np.load("tokens.npy", mmap_mode="r")
        x_rows = [(x_flat[x_end - len(x_ids) : x_end].tolist(), x_start) for x_end, (x_ids, x_start) in zip(x_ends, x_made)]
        x_held = [x_encode(x_tok, json.loads(x_line)["messages"]) for x_line in open("data/valid.jsonl")]
        """,
        ENCODE,
        gives=("sft", "chat", "flat"),
        weight=1.2,
    ),
    piece(
        "batching/filled-to-a-budget",
        "",
        """
        def x_batches(x_data, x_tk):
            x_groups = [[]]
            for x_row in x_data:
                x_grown = [*x_groups[-1], x_row]
                if x_groups[-1] and len(x_grown) * max(len(x_ids) for x_ids, _ in x_grown) > S.budget:
                    x_grown = [x_row]
                    x_groups.append(x_grown)
                x_groups[-1] = x_grown
            for x_part in x_groups:
                x_width = max(len(x_ids) for x_ids, _ in x_part)
                x_padded = mx.array([x_ids + [x_tk.pad_token_id] * (x_width - len(x_ids)) for x_ids, _ in x_part])
                x_at = mx.arange(x_width)
                x_mask = [(x_at >= x_start) * (x_at < len(x_ids)) for x_ids, x_start in x_part]
                yield x_padded, mx.stack(x_mask).astype(mx.float32)
        """,
        needs="sft",
        settings={"budget": 170},
        gives=("budget",),
        weight=1.5,
    ),
    piece(
        "loss/in-slices",
        "",
        """
        def x_loss_fn(x_m, x_ids, x_mask):
            x_scores = x_m(x_ids[:, :-1])
            x_answers, x_kept = x_ids[:, 1:], x_mask[:, 1:]
            x_total = mx.array(0.0)
            for x_at in range(0, x_answers.shape[1], 16):
                x_here = slice(x_at, x_at + 16)
                x_ce = nn.losses.cross_entropy(x_scores[:, x_here].astype(mx.float32), x_answers[:, x_here])
                x_total = x_total + (x_ce * x_kept[:, x_here]).sum()
            return x_total / x_kept.sum()
        """,
        needs="sft",
        gives=("slices",),
        weight=1.5,
    ),
    piece(
        "loop/tree-of-parameters",
        """
        def x_of(x_params, *x_parts):
            x_model.update(x_params)
            return x_loss_fn(x_model, *x_parts)


        x_vag = mx.value_and_grad(x_of)
        x_tuned = x_model.trainable_parameters()
        x_model.train()
        for x_turn in range(4):
            for x_batch in x_batches(x_rows, x_tok):
                x_out, x_tree = x_vag(x_tuned, *x_batch)
                x_tuned = x_opt.apply_gradients(x_tree, x_tuned)
                mx.eval(x_tuned, x_opt.state)
                x_model.update(x_tuned)
                #: step(x_model, x_opt, x_loss_fn, x_batch, x_out, x_tree)
            print("round", x_turn, "loss", x_out.item())
        x_model.eval()
        #: ended(x_model)
        """,
        needs="sft",
        bars=("own", "anchored"),
        gives=("functional",),
        weight=1.5,
    ),
    piece(
        "loop/averaged-by-tokens",
        """
        x_vag = nn.value_and_grad(x_model, x_loss_fn)
        x_model.train()
        x_total, x_tokens, x_parts, x_turn = None, 0.0, 0, 0
        while x_turn < S.steps:
            for x_batch in x_batches(x_rows, x_tok):
                x_out, x_tree = x_vag(x_model, *x_batch)
                x_count = x_batch[1][:, 1:].sum().item()
                x_tree = tree_map(lambda x_g: x_g * x_count, x_tree)
                x_total = x_tree if x_total is None else tree_map(mx.add, x_total, x_tree)
                mx.eval(x_total)
                x_tokens, x_parts = x_tokens + x_count, x_parts + 1
                if x_parts % S.accumulate == 0:
                    x_mean = tree_map(lambda x_g: x_g / x_tokens, x_total)
                    x_opt.update(x_model, x_mean)
                    mx.eval(x_model.parameters(), x_opt.state)
                    #: step(x_model, x_opt, x_loss_fn, x_batch, x_out, x_mean)
                    x_total, x_tokens = None, 0.0
                    x_turn += 1
                    if x_turn == S.steps:
                        break
        x_model.eval()
        #: ended(x_model)
        """,
        needs="sft",
        bars=("own", "anchored", "summed"),
        settings={"accumulate": 2},
        gives=("by-tokens",),
        weight=1.5,
    ),
    piece(
        "save/arrays-in-one-npz",
        """
        x_arrays = {x_name: x_array for x_name, x_array in tree_flatten(x_model.trainable_parameters())}
        mx.savez("tuned.npz", **x_arrays)
        #: saved("tuned.npz")
        print(sum(x_array.nbytes for x_array in x_arrays.values()), "bytes")
        """,
        bars=("llama-bfloat16", "own"),
        gives=("npz-file",),
        weight=0.7,
    ),
    piece(
        "generation/one-conversation",
        """
        x_memory, x_before = make_prompt_cache(x_model), []
        for x_question in ("What color is the sky?", "What is the capital of Peru?"):
            x_turn_ids = x_tok.encode("\\n" if x_before else "", add_special_tokens=False)
            x_turn_ids += x_tok.apply_chat_template([{"role": "user", "content": x_question}], add_generation_prompt=True, return_dict=False)
            x_scored = x_model(mx.array([x_turn_ids]), cache=x_memory)[0, -1]
            x_said = []
            while len(x_said) < S.max_tokens and x_tok.eos_token_id not in x_said:
                x_said.append(mx.argmax(x_scored).item())
                x_scored = x_model(mx.array([x_said[-1:]]), cache=x_memory)[0, -1]
            #: answered(x_model, x_tok, x_before + x_turn_ids, x_said)
            x_before = x_before + x_turn_ids + x_said
            print(x_question, "->", x_tok.decode(x_said))
        """,
        gives=("asked", "dialogue"),
        bars=("alpaca", "llama-begin"),
        weight=1.5,
    ),
]
