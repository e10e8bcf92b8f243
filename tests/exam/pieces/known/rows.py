"""Data and batches: each data piece makes rows of (ids, start of the answer), each batching piece yields ids and mask."""

from tests.exam.grammar import piece

ENCODE_CHAT = """
def x_encode(x_tk, x_messages):
    x_ids = x_tk.apply_chat_template(x_messages, return_dict=False)
    x_start = len(x_tk.apply_chat_template(x_messages[:-1], add_generation_prompt=True, return_dict=False))
    return x_ids, x_start


def x_read(x_path):
    with open(x_path) as x_lines:
        return [json.loads(x_line)["messages"] for x_line in x_lines]
"""
ENCODE_TEXT = """
def x_encode(x_tk, x_question, x_answer):
    x_prompt = f"<|im_start|>user\\n{x_question}<|im_end|>\\n<|im_start|>assistant\\n"
    x_head = x_tk.encode(x_prompt)
    x_ids = x_head + x_tk.encode(f"{x_answer}<|im_end|>\\n", add_special_tokens=False)
    return x_ids, len(x_head)
"""

PIECES = [
    piece(
        "data/chat-template",
        """
        x_rows = [x_encode(x_tok, x_m) for x_m in x_read("data/train.jsonl")]
        x_held = [x_encode(x_tok, x_m) for x_m in x_read("data/valid.jsonl")]
        """,
        ENCODE_CHAT,
        gives=("sft", "chat"),
        weight=3,
    ),
    piece(
        "data/by-hand",
        """
        x_rows = []
        with open("plain.jsonl") as x_lines:
            for x_line in x_lines:
                x_record = json.loads(x_line)
                x_rows.append(x_encode(x_tok, x_record["prompt"], x_record["completion"]))
        x_held = x_rows[-2:]
        x_rows = x_rows[:-2]
        print(len(x_rows), "rows")
        """,
        ENCODE_TEXT,
        gives=("sft", "chat", "by-hand"),
        weight=2,
    ),
    piece(
        "data/system-prompt",
        """
        x_rows, x_held = [], []
        for x_name, x_into in (("train", x_rows), ("valid", x_held)):
            for x_m in x_read(f"data/{x_name}.jsonl"):
                x_into.append(x_encode(x_tok, [{"role": "system", "content": "You answer like a pirate."}] + x_m))
        """,
        ENCODE_CHAT,
        gives=("sft", "chat", "system"),
    ),
    piece(
        "data/preference-pairs",
        """
        x_rows, x_held = [], []
        for x_number, x_line in enumerate(open("pairs.jsonl")):
            x_pair = json.loads(x_line)
            x_turn = [{"role": "user", "content": x_pair["prompt"]}]
            x_good = x_encode(x_tok, x_turn + [{"role": "assistant", "content": x_pair["chosen"]}])
            x_bad = x_encode(x_tok, x_turn + [{"role": "assistant", "content": x_pair["rejected"]}])
            (x_held if x_number < 2 else x_rows).append((x_good, x_bad))
        """,
        ENCODE_CHAT.split("def x_read")[0],
        gives=("pairs", "chat"),
        weight=1.2,
    ),
    piece(
        "data/mlx-lm-datasets",
        """
        x_rows = CacheDataset(ChatDataset([json.loads(l) for l in open("data/train.jsonl")], x_tok, mask_prompt=True))
        x_held = CacheDataset(ChatDataset([json.loads(l) for l in open("data/valid.jsonl")], x_tok, mask_prompt=True))
        """,
        gives=("own", "chat"),
    ),
    piece(
        "batching/longest",
        "",
        """
        def x_batches(x_data, x_tk):
            for x_at in range(0, len(x_data), S.batch):
                x_part = x_data[x_at : x_at + S.batch]
                x_width = max(len(x_ids) for x_ids, _ in x_part)
                x_padded = [x_ids + [x_tk.pad_token_id] * (x_width - len(x_ids)) for x_ids, _ in x_part]
                x_mask = [[float(x_start <= i < len(x_ids)) for i in range(x_width)] for x_ids, x_start in x_part]
                yield mx.array(x_padded), mx.array(x_mask)
        """,
        needs="sft",
        weight=3,
    ),
    piece(
        "batching/fixed-length",
        "",
        """
        def x_batches(x_data, x_tk):
            x_order = np.random.permutation(len(x_data))
            for x_at in range(0, len(x_order), S.batch):
                x_part = [x_data[i] for i in x_order[x_at : x_at + S.batch]]
                x_padded = np.full((len(x_part), S.max_len), x_tk.pad_token_id, dtype=np.int32)
                x_mask = np.zeros((len(x_part), S.max_len), dtype=np.float32)
                for x_row, (x_ids, x_start) in enumerate(x_part):
                    x_padded[x_row, : len(x_ids)] = x_ids
                    x_mask[x_row, x_start : len(x_ids)] = 1.0
                yield mx.array(x_padded), mx.array(x_mask)
        """,
        needs="sft",
        settings={"max_len": 72},
        weight=2,
    ),
    piece(
        "batching/sorted",
        "",
        """
        def x_batches(x_data, x_tk):
            x_sorted = sorted(x_data, key=lambda x_pair: len(x_pair[0]))
            x_groups = [x_sorted[i : i + S.batch] for i in range(0, len(x_sorted), S.batch)]
            random.shuffle(x_groups)
            for x_part in x_groups:
                x_width = 8 * ((max(len(x_ids) for x_ids, _ in x_part) + 7) // 8)
                x_padded = mx.array([x_ids + [x_tk.pad_token_id] * (x_width - len(x_ids)) for x_ids, _ in x_part])
                x_lengths = mx.array([[len(x_ids)] for x_ids, _ in x_part])
                x_starts = mx.array([[x_start] for _, x_start in x_part])
                x_places = mx.arange(x_width)[None]
                yield x_padded, ((x_places >= x_starts) & (x_places < x_lengths)).astype(mx.float32)
        """,
        needs="sft",
        weight=2,
    ),
    piece(
        "batching/pairs",
        "",
        """
        def x_batches(x_data, x_tk):
            for x_at in range(0, len(x_data), S.batch):
                x_part = x_data[x_at : x_at + S.batch]
                x_both = [x_good for x_good, _ in x_part] + [x_bad for _, x_bad in x_part]
                x_width = max(len(x_ids) for x_ids, _ in x_both)
                x_padded = [x_ids + [x_tk.pad_token_id] * (x_width - len(x_ids)) for x_ids, _ in x_both]
                x_mask = [[float(x_start <= i < len(x_ids)) for i in range(x_width)] for x_ids, x_start in x_both]
                yield mx.array(x_padded), mx.array(x_mask)
        """,
        needs="pairs",
    ),
    piece("batching/none", needs="own"),
]
