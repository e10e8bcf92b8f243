"""What stands beside a language model or before it: a reward head, a learned prefix, a masked loss, tools."""

from tests.exam.grammar import piece
from tests.exam.pieces.known.rows import ENCODE_CHAT

PIECES = [
    piece(
        "data/tool-turns",
        """
        x_rows, x_held = [], []
        for x_name, x_into in (("train", x_rows), ("valid", x_held)):
            for x_question, x_answer in x_read(f"data/{x_name}.jsonl"):
                x_key = x_question["content"].rstrip("?").split()[-1]
                x_call = {"role": "assistant", "content": f"look up {x_key}"}
                x_found = {"role": "tool", "content": x_answer["content"].split()[-2]}
                x_into.append(x_encode(x_tok, [x_question, x_call, x_found, x_answer]))
        """,
        ENCODE_CHAT,
        gives=("sft", "chat", "tools"),
    ),
    piece(
        "data/tools-in-the-system-prompt",
        """
        x_tools = "Tools: look_up(name)."
        x_rows = [x_encode(x_tok, x_called(x_tools, x_m)) for x_m in x_read("data/train.jsonl")]
        x_held = [x_encode(x_tok, x_called(x_tools, x_m)) for x_m in x_read("data/valid.jsonl")]
        """,
        ENCODE_CHAT
        + """

def x_called(x_tools, x_messages):
    x_key = x_messages[0]["content"].rstrip("?").split()[-1]
    x_call = {"role": "assistant", "content": f"look_up({x_key})"}
    return [{"role": "system", "content": x_tools}, x_messages[0], x_call]
""",
        gives=("sft", "chat", "system", "tools", "one-opening"),  # each answer begins as all do
    ),
    piece(
        "trained/learned-prefix",
        """
        x_model = x_Prefixed(x_model, 6)
        x_model.freeze()
        x_model.unfreeze(keys=["prefix"], recurse=False)
        #: adapted(x_model)
        """,
        """
        class x_Prefixed(nn.Module):
            def __init__(self, x_inner, x_count):
                super().__init__()
                self.inner = x_inner
                self.prefix = x_inner.model.embed_tokens(mx.arange(5, 5 + x_count))

            @property
            def layers(self):
                return self.inner.layers

            def __call__(self, x_ids, cache=None):
                x_h = self.inner.model.embed_tokens(x_ids)
                if cache is not None and cache[0].offset > 0:
                    return self.inner(x_ids, cache=cache, input_embeddings=x_h)
                x_first = mx.broadcast_to(self.prefix[None], (x_h.shape[0], *self.prefix.shape))
                x_h = mx.concatenate([x_first.astype(x_h.dtype), x_h], axis=1)
                return self.inner(x_ids, cache=cache, input_embeddings=x_h)[:, self.prefix.shape[0] :]
        """,
        gives=("partial", "prefixed"),
        settings={"lr": 5e-2},
        bars=("gemma2", "mixtral", "llama-bfloat16", "qwen2-4bit"),
        habit=True,
    ),
    piece(
        "loss/masked-diffusion",
        "",
        """
        def x_loss_fn(x_m, x_ids, x_mask):
            x_hole = x_m.args.vocab_size - 1
            x_rate = mx.random.uniform(0.3, 0.9, (x_ids.shape[0], 1))
            x_covered = (mx.random.uniform(shape=x_ids.shape) < x_rate) * (x_mask > 0)
            x_logits = x_m(mx.where(x_covered, x_hole, x_ids))
            x_ce = nn.losses.cross_entropy(x_logits, x_ids)
            return (x_ce * x_covered / x_rate).sum() / x_mask.sum()
        """,
        needs="sft",
        gives=("diffused",),
        bars=("prefixed",),
        habit=True,
    ),
    piece(
        "loss/reward-of-pairs",
        "x_model.score = nn.Linear(x_model.args.hidden_size, 1)\n",
        """
        def x_loss_fn(x_m, x_ids, x_mask):
            x_last = mx.argmax((x_mask > 0) * mx.arange(x_ids.shape[1]), axis=1)
            x_states = x_m.model(x_ids)[mx.arange(x_ids.shape[0]), x_last]
            x_points = x_m.score(x_states)[:, 0]
            x_half = x_ids.shape[0] // 2
            return -nn.log_sigmoid(x_points[:x_half] - x_points[x_half:]).mean()
        """,
        needs="pairs",
        gives=("rewarding",),
        bars=("prefixed",),
        habit=True,
    ),
]
