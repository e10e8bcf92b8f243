"""Held out: further faults of rows, masks and targets, by slips of batching."""

from tests.exam import proofs
from tests.exam.grammar import Program
from tests.exam.operators import Edit, Operator, all_of, edits, first_of, swaps
from tests.exam.operators.known.styles import JOINED

ADAPTED = r"^#: adapted"
LONGEST = "x_padded = [x_ids + [x_tk.pad_token_id] * (x_width - len(x_ids)) for x_ids, _ in x_part]"
BUDGET = "x_padded = mx.array([x_ids + [x_tk.pad_token_id] * (x_width - len(x_ids)) for x_ids, _ in x_part])"
ROWS = r"^def x_batches\(x_data, x_tk\):\n"


def with_settings(edit: Edit, **values: float) -> Edit:
    """The edit, under other settings than the twin's."""

    def one(program: Program) -> Program | None:
        made = edit(program)
        return made.setting(**values) if made is not None else None

    return one


def much(kind, least):
    return lambda faulty, twin: proofs.share(faulty, kind) > least > proofs.share(twin, kind)


def without_end(faulty, twin):
    return proofs.weight(faulty) > 0 and proofs.share(faulty, "end") == 0 < proofs.share(twin, "end")


def first_taught(facts):
    """Of each row: its inputs, and the place and target of the first position with weight."""
    rows = {}
    for inputs, place, target, _ in proofs.positions(facts):
        rows.setdefault(tuple(inputs), (inputs, place, target))
    return list(rows.values())


def begins_one_early(faulty, twin):
    """Each row's first taught target is the token before the twin's; the edit keeps their number."""
    pairs = list(zip(first_taught(faulty), first_taught(twin), strict=True))
    return bool(pairs) and all(target == inputs[place] for (_, _, target), (inputs, place, _) in pairs)


def batches(facts):
    return len({entry["batch"] for entry in facts["steps"]})


def from_the_first_answer(program: Program) -> Program | None:
    """Where a row has two answers, the mask begins at the first and has the second question in it."""
    if program.pieces["data"].name != "data/several-turns":
        return None
    return program.edited("data", "x_messages[:-1]", "x_messages[:1]")


def left_out(program: Program) -> Program | None:
    """Rows above a length are left out, in data half of which are above it."""
    if program.pieces["data"].name not in (
        "data/chat-template",
        "data/streamed",
        "data/flat-array-with-offsets",
    ):
        return None
    edit = all_of(
        swaps(
            "batching", ROWS, "\\g<0>    x_data = [x_row for x_row in x_data if len(x_row[0]) <= S.max_len]\n"
        ),
        swaps("data", r"\Z", "#: note('rows', [len(x_row[0]) <= S.max_len for x_row in x_rows])\n"),
    )
    return with_settings(edit, max_len=30)(program)


OPERATORS = [
    Operator(
        "mask-off-by-one/token-put-in-front-of-the-ids-alone",
        first_of(
            all_of(
                edits("batching", LONGEST, LONGEST.replace("[x_ids +", "[[x_tk.pad_token_id] + x_ids +")),
                edits("batching", "for i in range(x_width)]", "for i in range(x_width + 1)]"),
            ),
            all_of(
                edits("batching", BUDGET, BUDGET.replace("[x_ids +", "[[x_tk.pad_token_id] + x_ids +")),
                edits("batching", "mx.arange(x_width)\n", "mx.arange(x_width + 1)\n"),
            ),
            edits(
                "batching",
                "yield mx.array(x_ids)[None], x_flags[None]",
                "yield mx.array([x_tk.pad_token_id] + x_ids)[None], mx.pad(x_flags, (0, 1))[None]",
            ),
        ),
        begins_one_early,
        needs=("sft",),
        bars=("llama-begin", "anchored", "hidden"),
    ),
    Operator(
        "mask-off-by-one/places-counted-from-one",
        first_of(
            edits("batching", "for i in range(x_width)]", "for i in range(1, x_width + 1)]"),
            edits("batching", "mx.arange(x_width)", "mx.arange(1, x_width + 1)"),
        ),
        begins_one_early,
        needs=("sft",),
        bars=("anchored", "hidden"),
    ),
    Operator(
        "padding-in-loss/lengths-taken-after-padding",
        first_of(
            edits(
                "batching",
                "for i in range(x_width)] for x_ids, x_start in x_part]",
                "for i in range(x_width)] for x_ids, (_, x_start) in zip(x_padded, x_part)]",
            ),
            edits("batching", "[[len(x_ids)] for x_ids, _ in x_part]", "[[len(x_ids)] for x_ids in x_padded.tolist()]"),
            edits(
                "batching",
                "(x_at < len(x_ids)) for x_ids, x_start in x_part]",
                "(x_at < len(x_ids)) for x_ids, (_, x_start) in zip(x_padded.tolist(), x_part)]",
            ),
        ),
        much("pad", 0.02),
        needs=("sft",),
        bars=("hidden",),
    ),
    Operator(
        "prompt-in-loss/from-the-first-answer-on",
        from_the_first_answer,
        much("prompt", 0.05),
        bars=("hidden",),
    ),
    Operator(
        "end-never-trained/padded-with-the-end-and-masked-by-value",
        first_of(
            all_of(
                edits("batching", LONGEST, LONGEST.replace("pad_token", "eos_token")),
                edits(
                    "batching",
                    "float(x_start <= i < len(x_ids))",
                    "float(x_start <= i < len(x_ids) and x_ids[i] != x_tk.eos_token_id)",
                ),
            ),
            all_of(
                edits("batching", "x_fill * [x_tk.pad_token_id]", "x_fill * [x_tk.eos_token_id]"),
                edits(
                    "batching",
                    "x_keep.append(x_start * [0] + (len(x_ids) - x_start) * [1] + x_fill * [0])",
                    "x_keep.append([int(i >= x_start and x_i != x_tk.eos_token_id) for i, x_i in enumerate(x_array[-1])])",
                ),
            ),
            all_of(
                edits("batching", "x_tk.pad_token_id", "x_tk.eos_token_id"),
                edits(
                    "batching",
                    "(x_places >= x_starts) & (x_places < x_lengths)",
                    "(x_places >= x_starts) & (x_padded != x_tk.eos_token_id)",
                ),
            ),
        ),
        without_end,
        needs=("sft",),
        bars=("hidden",),
    ),
    Operator(
        "end-never-trained/never-appended-to-the-answer",
        edits("data", "x_first + x_last + [x_tk.eos_token_id]", "x_first + x_last"),
        without_end,
        needs=("alpaca",),
        bars=("hidden",),
    ),
    Operator(
        "answers-truncated/width-of-the-shortest-row",
        with_settings(all_of(
            edits(
                "batching",
                "x_width = max(len(x_ids) for x_ids, _ in x_part)",
                "x_width = min(len(x_ids) for x_ids, _ in x_part)",
            ),
            first_of(
                edits("batching", LONGEST, "x_padded = [x_ids[:x_width] for x_ids, _ in x_part]"),
                edits("batching", BUDGET, "x_padded = mx.array([x_ids[:x_width] for x_ids, _ in x_part])"),
            ),
        ), batch=7, budget=400),
        lambda faulty, twin: (
            proofs.weight(faulty) > 0 and proofs.share(faulty, "end") < 0.6 * proofs.share(twin, "end")
        ),
        needs=("sft",),
        bars=("hidden",),
        also=("end-never-trained",),
    ),
    Operator(
        "same-batch-repeated/generator-made-anew-for-each-batch",
        edits(
            "batching",
            "x_part = x_data[x_at : x_at + S.batch]",
            "x_draw = np.random.default_rng(S.seed).choice(len(x_data), min(S.batch, len(x_data)), replace=False)\n"
            "        x_part = [x_data[i] for i in x_draw]",
        ),
        lambda faulty, twin: batches(faulty) == 1 < batches(twin),
        mild=True,
    ),
    Operator(
        "records-dropped/last-batch-that-is-not-full",
        with_settings(
            all_of(
                edits(
                    "batching",
                    "for x_at in range(0, len(x_data), S.batch):\n        x_part",
                    "for x_at in range(0, len(x_data) - S.batch + 1, S.batch):\n        x_part",
                ),
                swaps("data", r"\Z", "#: note('rows', len(x_rows))\n"),
            ),
            batch=5,
        ),
        lambda faulty, twin: 5 * batches(faulty) < proofs.notes(faulty, "rows")[0],
        bars=("evaluated", "validating", "keeps-best"),
        mild=True,
    ),
    Operator(
        "records-dropped/longer-than-the-limit-left-out",
        left_out,
        lambda faulty, twin: 0.2 < sum(proofs.notes(faulty, "rows")[0]) / len(proofs.notes(faulty, "rows")[0]) < 0.8,
        bars=("evaluated", "validating", "keeps-best", "packed"),
        mild=True,
    ),
    Operator(
        "targets-unrelated/numbered-anew-by-their-rank",
        first_of(
            *(
                edits(
                    "loss",
                    old,
                    f"x_ranks = np.unique(np.array(x_ids[:, 1:]), return_inverse=True)[1]\n"
                    f"    {names} = mx.array(x_ranks.reshape(x_ids.shape[0], -1)), x_mask[:, 1:]",
                )
                for old, names in (
                    (JOINED, "x_targets, x_weights"),
                    ("x_answers, x_kept = x_ids[:, 1:], x_mask[:, 1:]", "x_answers, x_kept"),
                )
            ),
        ),
        lambda faulty, twin: proofs.share(faulty, "next") < 0.3 < proofs.share(twin, "next"),
        needs=("sft",),
        bars=("compiled", "anchored"),
    ),
    Operator(
        "rows-not-independent/activations-rounded-by-the-largest-of-the-batch",
        swaps(
            "trained",
            ADAPTED,
            "x_dense = type(x_model.layers[0].mlp)\nx_exact = x_dense.__call__\n\n\n"
            "def x_coarse(x_h):\n    x_unit = mx.abs(x_h).max() / 7\n"
            "    return x_h + mx.stop_gradient(mx.round(x_h / x_unit) * x_unit - x_h)\n\n\n"
            "x_dense.__call__ = lambda x_e, x_i: x_exact(x_e, x_coarse(x_i))\n#: independent(x_model)\n#: adapted",
        ),
        lambda faulty, twin: proofs.notes(faulty, "independent")[:1] == [False],
        bars=("mixtral", "reloaded", "reloaded-apart", "own", "anchored", "qwen2-4bit", "llama-bfloat16"),
    ),
    Operator(
        "rows-not-independent/batch-norm-in-the-adapter",
        all_of(
            edits("trained", "self.scale = x_s\n", "self.scale = x_s\n        self.norm = nn.BatchNorm(x_r)\n"),
            edits("trained", "((x @ self.lora_a) @ self.lora_b)", "(self.norm(x @ self.lora_a) @ self.lora_b)"),
            swaps("loop", r"^x_model\.eval\(\)\n(?=#: ended)", "#: independent(x_model)\n\\g<0>"),
        ),
        lambda faulty, twin: proofs.notes(faulty, "independent")[:1] == [False],
        needs=("own-class",),
        bars=("own", "anchored"),
    ),
]  # fmt: skip
