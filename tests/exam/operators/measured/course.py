"""Held out: faults of steps, schedules and settings, and of functions and caches that outlive what they were made of."""

from tests.exam import proofs
from tests.exam.grammar import Program
from tests.exam.operators import Operator, all_of, edits, first_of, swaps

UPDATE = r"^( +)x_opt\.update\(x_model, (x_grads|x_tree)\)"


def nothing_moved(faulty, twin):
    return not proofs.moved(faulty) and proofs.moved(twin)


def base_moved(faulty, twin):
    return bool(faulty["adapter"]) and bool(faulty.get("base moved")) and not twin.get("base moved")


def rates(facts):
    return [entry["rate"] for entry in facts["steps"]]


def in_half_precision(program: Program) -> Program | None:
    """Norms alone, in bfloat16, at a rate that suits another precision."""
    if "isinstance(m, nn.RMSNorm)" not in program.text("trained"):
        return None
    made = program.substituted(
        "trained", r"^#: adapted", "x_model.set_dtype(mx.bfloat16)\n#: loaded(x_model)\n#: adapted"
    )
    return (
        made.substituted("optimizer", r"learning_rate=S\.lr\b", "learning_rate=S.lr / 1000") if made else None
    )


def scaled(program: Program) -> Program | None:
    """A loss scaled for half precision whose gradients are never scaled back, where the optimizer feels it."""
    if "optim.SGD" not in program.text("optimizer"):
        return None
    return program.substituted("loss", r"^( +)return (.*)$", r"\1return 256.0 * (\2)")


OPERATORS = [
    Operator(
        "update-lost-to-rounding/rate-of-full-precision",
        in_half_precision,
        nothing_moved,
        needs=("partial",),
        bars=("own", "schedule", "reloaded", "whole-folder"),
    ),
    Operator(
        "update-too-large/loss-scale-never-taken-back",
        scaled,
        lambda faulty, twin: (
            max(proofs.losses(faulty)[3:]) / 256 > 1.5 * proofs.losses(twin)[0]
            or faulty.get("finite") is False
        ),
        needs=("sft",),
        bars=("clipped", "validating", "own", "reloaded", "reloaded-apart", "fused"),
        also=("weights-not-finite",),
        mild=True,
    ),
    Operator(
        "weights-not-finite/distance-from-where-it-is",
        swaps(
            "loss",
            r"^( +)return (.*)$",
            r"\1x_out = \2\n\1return x_out + 0.01 * mx.sqrt(mx.sum(mx.square(x_out - mx.stop_gradient(x_out))))",
        ),
        lambda faulty, twin: faulty.get("finite") is False,
        needs=("sft",),
        bars=("reloaded", "reloaded-apart", "fused", "compiled"),
    ),
    Operator(
        "uniform-decay/gaps-filled-with-zeros",
        swaps(
            "loop",
            UPDATE,
            r"\1x_whole = dict(tree_flatten(tree_map(mx.zeros_like, x_model.parameters())))\n\1x_whole.update(tree_flatten(\2))\n"
            r"\1x_opt.update(x_model, tree_unflatten(list(x_whole.items())))",
        ),
        base_moved,
        needs=("lora", "decay"),
        bars=("own", "accumulating", "compiled", "fused", "qwen2-4bit", "llama-bfloat16"),
        also=("frozen-but-changed", "base-not-frozen"),
    ),
    Operator(
        "accumulation-mismatch/counter-begins-with-each-pass",
        all_of(
            swaps(
                "loop",
                r"^( +)for x_batch in x_batches\(x_rows, x_tok\):",
                r"\1for x_place, x_batch in enumerate(x_batches(x_rows, x_tok), 1):",
            ),
            edits("loop", "if x_micro % S.accumulate == 0:", "if x_place % (S.accumulate + 1) == 0:"),
            edits("loop", "a / S.accumulate", "a / (S.accumulate + 1)"),
            swaps("loop", r"^( +)if x_micro >= ", r"\1if x_place == 4:\n\1    x_sum = None\n\g<0>"),
        ),
        lambda faulty, twin: faulty["updates"] < twin["updates"],
        needs=("accumulating",),
        mild=True,
    ),
    Operator(
        "accumulation-mismatch/only-the-last-part",
        edits("loop", "tree_map(lambda a, b: a + b, x_sum, x_grads)", "x_grads"),
        lambda faulty, twin: (
            proofs.losses(faulty)[1:] != proofs.losses(twin)[1:] and faulty["updates"] == twin["updates"]
        ),
        needs=("accumulating",),
        mild=True,
    ),
    Operator(
        "schedule-in-wrong-unit/length-in-records",
        edits(
            "optimizer",
            "optim.cosine_decay(S.lr, S.steps - S.warmup)",
            "optim.cosine_decay(S.lr, 14 * S.steps)",
        ),
        lambda faulty, twin: rates(faulty)[-1] > 0.8 * max(rates(faulty)) > rates(twin)[-1],
        needs=("schedule",),
        mild=True,
    ),
    Operator(
        "schedule-in-wrong-unit/asked-for-micro-batches",
        swaps(
            "loop",
            r"^( +)x_opt\.update\(x_model, tree_map",
            r"\1x_opt.learning_rate = S.lr * max(0.0, 1 - x_micro / S.steps)\n\g<0>",
        ),
        lambda faulty, twin: rates(faulty)[-1] == 0 < rates(faulty)[0],
        needs=("accumulating",),
        bars=("schedule",),
        mild=True,
    ),
    Operator(
        "setting-not-in-force/clipped-and-dropped",
        first_of(
            edits(
                "loop",
                "x_grads, x_norm = optim.clip_grad_norm(x_grads, S.clip)",
                "_, x_norm = optim.clip_grad_norm(x_grads, S.clip)",
            ),
            edits(
                "loop",
                "x_tree, _ = optim.clip_grad_norm(x_tree, max_norm=S.clip)",
                "_, x_norm = optim.clip_grad_norm(x_tree, max_norm=S.clip)",
            ),
        ),
        lambda faulty, twin: max(proofs.gradients(faulty)) > 1.05 >= max(proofs.gradients(twin)),
        mild=True,
    ),
    Operator(
        "setting-not-in-force/decay-given-to-nobody",
        edits(
            "optimizer",
            "x_opt = optim.AdamW(learning_rate=S.lr, weight_decay=S.decay)\n",
            "print('weight decay', S.decay)\nx_opt = optim.AdamW(learning_rate=S.lr, weight_decay=0.0)\n",
        ),
        lambda faulty, twin: (
            proofs.losses(faulty)[0] == proofs.losses(twin)[0]
            and proofs.losses(faulty) != proofs.losses(twin)
        ),
        needs=("decay",),
        bars=("own",),
        mild=True,
    ),
    Operator(
        "best-not-kept/comparison-the-wrong-way",
        edits("loop", "if x_score < x_lowest:", "if x_lowest == math.inf or x_score > x_lowest:"),
        lambda faulty, twin: proofs.notes(faulty, "kept")[0] > min(proofs.notes(faulty, "scores")[0]) + 0.05,
        needs=("keeps-best",),
    ),
    Operator(
        "best-not-kept/nothing-is-below-zero",
        edits("loop", "x_lowest = math.inf", "x_lowest = 0.0"),
        nothing_moved,
        needs=("keeps-best",),
        also=("saved-untrained",),
    ),
    Operator(
        "compile-random-frozen/random-state-not-captured",
        all_of(
            edits("loop", "[x_model.state, x_opt.state, mx.random.state]", "[x_model.state, x_opt.state]"),
            edits("loop", "#: ended(x_model)\n", "#: ended(x_model)\n#: repeats(x_step, x_opt, x_batch)\n"),
        ),
        lambda faulty, twin: proofs.notes(faulty, "repeats") == [True],
        needs=("compiled", "dropout"),
        bars=("schedule", "anchored"),
    ),
    Operator(
        "compile-random-frozen/own-sampler",
        all_of(
            swaps(
                "generation",
                r"\A",
                "x_pick = mx.compile(lambda x_l: mx.random.categorical(x_l / S.temperature))\n#: note('picks', [x_pick(mx.zeros((1, 400))).item() for _ in range(6)])\n",
            ),
            edits("generation", "sampler=make_sampler(S.temperature, top_p=0.95)", "sampler=x_pick"),
        ),
        lambda faulty, twin: len(set(proofs.notes(faulty, "picks")[0])) == 1,
        needs=("warm",),
    ),
    Operator(
        "stale-compiled-function/compiled-before-training",
        all_of(
            swaps(
                "loop",
                r"\A",
                "x_best = mx.compile(lambda x_i: mx.argmax(x_model(x_i)[:, -1], axis=-1))\n"
                "x_seen = x_tok.apply_chat_template([{'role': 'user', 'content': 'What color is the sky?'}], add_generation_prompt=True, return_dict=False)\n"
                "x_long = len(x_seen)\nfor _ in range(10):\n    x_seen = x_seen + [x_best(mx.array([x_seen])).item()]\n"
                "print('before:', x_tok.decode(x_seen[x_long:]))\n#: note('before', x_seen[x_long:])\n",
            ),
            swaps(
                "generation",
                r"^x_cache = (.*\n)+?x_out = \[\]\n(.*\n)+?(?=#: answered)",
                "x_out = []\nfor _ in range(10):\n    x_out.append(x_best(mx.array([x_prompt + x_out])).item())\n",
            ),
        ),
        lambda faulty, twin: (
            faulty["answers"][0]["output"] == proofs.notes(faulty, "before")[0]
            and faulty["answers"][0]["output"][:8] != twin["answers"][0]["output"][:8]
        ),
        needs=("greedy-loop",),
        bars=("dropout",),
        also=("stale-model-in-generation",),
    ),
    Operator(
        "stale-prompt-cache/one-cache-for-all-questions",
        all_of(
            swaps("generation", r"\A", "x_memory = make_prompt_cache(x_model)\n"),
            edits(
                "generation",
                "max_tokens=S.max_tokens, verbose=False)",
                "max_tokens=S.max_tokens, verbose=False, prompt_cache=x_memory)",
            ),
        ),
        lambda faulty, twin: faulty["answers"][1]["output"] != twin["answers"][1]["output"],
        needs=("several",),
        mild=True,
    ),
    Operator(
        "randomness-in-generation/units-dropped-by-hand",
        swaps(
            "trained",
            r"^#: adapted",
            "x_dense = type(x_model.layers[0].mlp)\nx_whole_call = x_dense.__call__\n"
            "x_dense.__call__ = lambda x_e, x_i: (lambda x_o: x_o * mx.random.bernoulli(0.9, x_o.shape).astype(x_o.dtype) / 0.9)(x_whole_call(x_e, x_i))\n#: adapted",
        ),
        lambda faulty, twin: any(one["repeat differs"] > 1e-4 for one in faulty["answers"]),
        needs=("asked",),
        bars=("dropout", "mixtral", "own", "reloaded", "reloaded-apart"),
        also=("dropout-in-generation",),
    ),
    Operator(
        "gradients-zero/gradient-of-one-model-forward-of-another",
        swaps(
            "loop",
            r"^(x_grad_fn|x_vag|x_gradient_of) = nn\.value_and_grad\(x_model, x_loss_fn\)",
            r"x_first, _ = load('base')\n\1 = nn.value_and_grad(x_first, lambda x_m, *x_a: x_loss_fn(x_model, *x_a))",
        ),
        lambda faulty, twin: proofs.gradients(faulty) != [] and max(proofs.gradients(faulty)) == 0,
        needs=("full",),
        bars=("own", "anchored", "decay", "compiled", "accumulating"),
        also=("wrong-model-updated",),
    ),
]
