"""Held out: what is trained, and on which rows."""

from tests.exam.grammar import piece

ENCODE = """
def x_encode(x_tk, x_messages):
    x_ids = x_tk.apply_chat_template(x_messages, return_dict=False)
    return x_ids, len(x_tk.apply_chat_template(x_messages[:-1], add_generation_prompt=True, return_dict=False))
"""

PIECES = [
    piece(
        "trained/rank-stabilised",
        """
        x_model.freeze()
        x_factor = S.alpha / math.sqrt(S.rank)
        for x_layer in x_model.layers:
            x_layer.self_attn.q_proj = LoRALinear.from_base(x_layer.self_attn.q_proj, r=S.rank, scale=x_factor)
            x_layer.self_attn.o_proj = LoRALinear.from_base(x_layer.self_attn.o_proj, r=S.rank, scale=x_factor)
        #: adapted(x_model)
        """,
        gives=("lora", "lora-walk"),
        settings={"alpha": 24.0},
    ),
    piece(
        "trained/own-adapter-class",
        """
        x_model.freeze()
        for x_layer in x_model.layers:
            x_layer.self_attn.q_proj = x_Low(x_layer.self_attn.q_proj, S.rank, S.scale)
            x_layer.self_attn.k_proj = x_Low(x_layer.self_attn.k_proj, S.rank, S.scale)
        #: adapted(x_model)
        """,
        """
        class x_Low(nn.Module):
            def __init__(self, x_inner, x_r, x_s):
                super().__init__()
                x_out, x_in = x_inner.weight.shape
                self.linear = x_inner
                self.lora_a = mx.random.normal((x_in, x_r)) * (1 / x_r)
                self.lora_b = mx.zeros((x_r, x_out))
                self.scale = x_s

            def __call__(self, x):
                return self.linear(x) + (self.scale * ((x @ self.lora_a) @ self.lora_b)).astype(x.dtype)
        """,
        gives=("lora", "own-class"),
        bars=("qwen2-4bit", "llama-bfloat16"),
        settings={"scale": 4.0},
    ),
    piece(
        "trained/lora-mlp",
        """
        x_lora_config = dict(rank=S.rank, scale=S.scale, dropout=S.dropout, keys=["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"])
        x_model.freeze()
        linear_to_lora_layers(x_model, S.layers, x_lora_config)
        #: adapted(x_model)
        """,
        gives=("lora", "lora-call", "lora-keys", "adapter-config"),
        bars=("mixtral",),
        weight=2,
    ),
    piece(
        "trained/head-only",
        """
        x_model.freeze()
        x_model.lm_head.unfreeze()
        #: adapted(x_model)
        """,
        gives=("partial",),
        bars=("qwen2-4bit", "llama-bfloat16", "gemma2", "qwen2-tied"),
        settings={"lr": 1e-2},
    ),
    piece(
        "data/several-turns",
        """
        x_turns = [json.loads(x_line)["messages"] for x_line in open("data/train.jsonl")]
        x_rows = [x_encode(x_tok, x_one + x_two) for x_one, x_two in zip(x_turns, x_turns[1:])]
        x_held = [x_encode(x_tok, json.loads(x_line)["messages"]) for x_line in open("data/valid.jsonl")]
        """,
        ENCODE,
        gives=("sft", "chat"),
        weight=1.5,
    ),
    piece(
        "data/streamed",
        """
        x_rows = list(x_stream_rows("data/train.jsonl", x_tok))
        random.Random(S.seed).shuffle(x_rows)
        x_held = list(x_stream_rows("data/valid.jsonl", x_tok))
        """,
        ENCODE
        + """

def x_stream_rows(x_path, x_tk):
    with open(x_path, encoding="utf-8") as x_lines:
        for x_line in x_lines:
            if x_line.strip():
                yield x_encode(x_tk, json.loads(x_line)["messages"])
""",
        gives=("sft", "chat"),
        weight=2,
    ),
    piece(
        "batching/bucketed",
        "",
        """
        def x_batches(x_data, x_tk):
            x_buckets = {}
            for x_ids, x_start in x_data:
                x_buckets.setdefault((len(x_ids) + 15) // 16 * 16, []).append((x_ids, x_start))
            for x_width, x_bucket in sorted(x_buckets.items()):
                for x_at in range(0, len(x_bucket), S.batch):
                    x_array, x_keep = [], []
                    for x_ids, x_start in x_bucket[x_at : x_at + S.batch]:
                        x_fill = x_width - len(x_ids)
                        x_array.append(x_ids + x_fill * [x_tk.pad_token_id])
                        x_keep.append(x_start * [0] + (len(x_ids) - x_start) * [1] + x_fill * [0])
                    yield mx.array(x_array), mx.array(x_keep, dtype=mx.float32)
        """,
        needs="sft",
        weight=2,
    ),
    piece(
        "batching/one-at-a-time",
        "",
        """
        def x_batches(x_data, x_tk):
            for x_ids, x_start in x_data:
                x_flags = mx.concatenate([mx.zeros((x_start,)), mx.ones((len(x_ids) - x_start,))])
                yield mx.array(x_ids)[None], x_flags[None]
        """,
        needs="sft",
    ),
]
