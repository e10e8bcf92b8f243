"""Held out: further mechanisms of ids that have few."""

from tests.exam import proofs
from tests.exam.operators import Operator, all_of, edits, first_of, swaps

ADAPTED = r"^#: adapted"
TREE = r"dict\(tree_flatten\(x_model\.trainable_parameters\(\)\)\)"
WHOLE = 'x_model.save_weights("out/model.safetensors")\n'


def kept(facts):
    return facts["saved"][-1] if facts["saved"] else {}


def nothing_moved(faulty, twin):
    return not proofs.moved(faulty) and proofs.moved(twin)


def another_first_loss(least):
    return lambda faulty, twin: abs(proofs.losses(faulty)[0] - proofs.losses(twin)[0]) > least


def other_weights_under_the_names(faulty, twin):
    one, two = kept(faulty), kept(twin)
    return 0 < one["end"] < len(one["names"]) == two["end"] and sorted(one["names"]) == sorted(two["names"])


def cut_without_end(faulty, twin):
    return proofs.weight(faulty) > 0 and proofs.share(faulty, "end") < 0.5 * proofs.share(twin, "end")


OPERATORS = [
    Operator(
        "lora-inert/added-in-evaluation-alone",
        edits(
            "trained",
            "return self.linear(x) + (",
            "return self.linear(x) + (0.0 if self.training else 1.0) * (",
        ),
        nothing_moved,
        needs=("own-class",),
        bars=("own", "decay"),
        also=("gradients-zero",),
    ),
    Operator(
        "answers-truncated/encoder-told-to-truncate",
        first_of(
            swaps(
                "data",
                r"^( +)x_ids = x_tk\.apply_chat_template\(x_messages, return_dict=False\)",
                r"\1x_ids = x_tk.apply_chat_template(x_messages, return_dict=False, truncation=True, max_length=24)",
            ),
            edits(
                "data",
                'x_tk.encode(f"{x_answer}<|im_end|>\\n", add_special_tokens=False)',
                'x_tk.encode(f"{x_answer}<|im_end|>\\n", add_special_tokens=False, truncation=True, max_length=8)',
            ),
        ),
        cut_without_end,
        needs=("sft",),
        bars=("system", "anchored", "hidden", "packed"),
        also=("end-never-trained",),
    ),
    Operator(
        "saved-before-last-update/third-epoch-kept",
        all_of(
            swaps(
                "loop",
                r'^( +)print\(f"epoch ',
                "\\1if x_epoch == 2:\n\\1    x_best = dict(tree_flatten(x_model.trainable_parameters()))\n\\g<0>",
            ),
            swaps("save", TREE, "x_best"),
        ),
        lambda faulty, twin: kept(faulty).get("end") == 0 == kept(faulty).get("start"),
        needs=("lora",),
        bars=("reloaded", "reloaded-apart", "dora", "keeps-best"),
    ),
    Operator(
        "attention-not-causal/diagonal-one-too-far",
        swaps(
            "trained",
            ADAPTED,
            "sys.modules[type(x_model).__module__].create_attention_mask = lambda x_h, *x_a, **x_k: mx.triu(mx.full((x_h.shape[1], x_h.shape[1]), -1e9), k=2)\n#: causal(x_model)\n#: adapted",
        ),
        lambda faulty, twin: proofs.notes(faulty, "causal")[:1] == [False],
        bars=("reloaded", "reloaded-apart", "own", "gemma2", "llama-bfloat16"),
    ),
    Operator(
        "rows-not-independent/scores-centred-over-the-batch",
        edits(
            "loss",
            "x_logits = x_m(x_ids[:, :-1])\n",
            "x_logits = x_m(x_ids[:, :-1])\n    x_logits = x_logits - x_logits.mean(axis=0, keepdims=True)\n",
        ),
        another_first_loss(0.05),
        needs=("sft",),
        bars=("anchored",),
        also=("loss-not-of-logits",),
    ),
    Operator(
        "gradient-wrong/normaliser-stopped",
        edits(
            "loss",
            "mx.logsumexp(x_logits, axis=-1) - x_score",
            "mx.stop_gradient(mx.logsumexp(x_logits, axis=-1)) - x_score",
        ),
        lambda faulty, twin: (
            proofs.losses(faulty)[0] == proofs.losses(twin)[0]
            and abs(proofs.gradients(faulty)[0] - proofs.gradients(twin)[0]) > 1e-3
        ),
        needs=("logits",),
        bars=("compiled",),
        also=("term-detached",),
    ),
    Operator(
        "loss-not-of-logits/last-norm-twice",
        edits(
            "loss",
            "x_hidden = x_m.model(x_ids[:, :-1])",
            "x_hidden = x_m.model.norm(x_m.model(x_ids[:, :-1]))",
        ),
        another_first_loss(0.01),
        needs=("hidden",),
    ),
    Operator(
        "advantage-zero/one-answer-a-question",
        edits("loop", "mx.array([x_question] * 6)", "mx.array([x_question] * 1)"),
        lambda faulty, twin: (
            proofs.gradients(faulty) != []
            and max(proofs.gradients(faulty)) == 0 < max(proofs.gradients(twin))
        ),
        needs=("policy",),
        bars=("decay",),
        mild=True,
    ),
    Operator(
        "setting-not-in-force/warm-up-made-and-not-joined",
        edits("optimizer", "optim.join_schedules([x_warm, x_decay], [S.warmup])", "x_decay"),
        lambda faulty, twin: faulty["steps"][0]["rate"] > 10 * twin["steps"][0]["rate"],
        needs=("schedule",),
        mild=True,
    ),
    Operator(
        "reload-mismatch/gate-and-up-change-places",
        edits(
            "save",
            WHOLE,
            "x_flat = {x_n.replace('gate_proj', 'up_prj').replace('up_proj', 'gate_proj').replace('up_prj', 'up_proj'): x_v for x_n, x_v in tree_flatten(x_model.parameters())}\n"
            "mx.save_safetensors('out/model.safetensors', x_flat, {'format': 'mlx'})\n",
        ),
        other_weights_under_the_names,
        needs=("whole-folder",),
        bars=("reloaded", "mixtral"),
        also=("weights-permuted",),
    ),
    Operator(
        "reload-mismatch/square-matrices-turned",
        edits(
            "save",
            WHOLE,
            "x_flat = {x_n: x_v.T if x_v.ndim == 2 and x_v.shape[0] == x_v.shape[1] else x_v for x_n, x_v in tree_flatten(x_model.parameters())}\n"
            "mx.save_safetensors('out/model.safetensors', x_flat, {'format': 'mlx'})\n",
        ),
        other_weights_under_the_names,
        needs=("whole-folder",),
        bars=("reloaded",),
        also=("weights-permuted",),
    ),
    Operator(
        "randomness-in-generation/noise-in-the-adapter",
        edits(
            "trained",
            "return self.linear(x) + (",
            "return self.linear(x) + 0.05 * mx.random.normal(x.shape[:-1] + (1,)) + (",
        ),
        lambda faulty, twin: any(one["repeat differs"] > 1e-4 for one in faulty["answers"]),
        needs=("own-class", "asked"),
    ),
    Operator(
        "tokenizer-mismatch/added-tokens-left-out",
        swaps(
            "save",
            r"\Z",
            "x_words = json.loads(Path('out/tokenizer.json').read_text())\n"
            "x_words['added_tokens'] = [x_w for x_w in x_words['added_tokens'] if x_w['content'] != '<|im_start|>']\n"
            "Path('out/tokenizer.json').write_text(json.dumps(x_words))\n"
            "#: note('start', load_tokenizer(Path('out')).encode('<|im_start|>', add_special_tokens=False))\n",
        ),
        lambda faulty, twin: proofs.notes(faulty, "start") != [[1]],
        needs=("whole-folder",),
        bars=("reloaded",),
        also=("template-mismatch",),
    ),
]
