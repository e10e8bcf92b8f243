"""Faults of updates, optimizers and schedules."""

from tests.exam import proofs
from tests.exam.operators import Operator, all_of, edits, first_of, swaps


def nothing_moved(faulty, twin):
    return not proofs.moved(faulty) and proofs.moved(twin)


OPERATORS = [
    Operator(
        "optimizer-never-stepped/every-thousandth",
        swaps(
            "loop",
            r"^( +)x_opt\.update\(x_model, x_grads\)",
            r"\1if (x_done + 1) % 1000 == 0:\n\1    x_opt.update(x_model, x_grads)",
        ),
        nothing_moved,
        needs=("eager",),
        bars=("epochs",),
    ),
    Operator(
        "optimizer-never-stepped/filter-of-top-level-names",
        swaps(
            "loop",
            r"^( +)x_opt\.update\(x_model, x_grads\)",
            r"\1x_grads = {x_k: x_v for x_k, x_v in x_grads.items() if 'lora' in x_k}\n\1if x_grads:\n\1    x_opt.update(x_model, x_grads)",
        ),
        nothing_moved,
        needs=("eager", "lora"),
        also=("gradient-discarded",),
    ),
    Operator(
        "optimizer-never-stepped/last-part-never-full",
        edits("loop", "if x_micro % S.accumulate == 0:", "if x_micro % (S.accumulate * 1000) == 0:"),
        nothing_moved,
        needs=("accumulating",),
    ),
    Operator(
        "wrong-model-updated/deep-copy",
        all_of(
            swaps("loop", r"\A", "x_worker = copy.deepcopy(x_model)\n"),
            swaps(
                "loop",
                r"x_grad_fn = nn\.value_and_grad\(x_model, x_loss_fn\)",
                "x_grad_fn = nn.value_and_grad(x_worker, x_loss_fn)",
            ),
            swaps("loop", r"x_grad_fn\(x_model, ", "x_grad_fn(x_worker, "),
            swaps("loop", r"x_opt\.update\(x_model, ", "x_opt.update(x_worker, "),
            swaps("loop", r"mx\.eval\(x_model\.parameters\(\)", "mx.eval(x_worker.parameters()"),
        ),
        nothing_moved,
        needs=("eager",),
        bars=("dropout", "unsaved"),
    ),
    Operator(
        "compile-state-not-captured/nothing",
        edits("loop", "@partial(mx.compile, inputs=x_captured, outputs=x_captured)", "@mx.compile"),
        lambda faulty, twin: len(set(proofs.losses(faulty)[::4])) <= 3 or not proofs.moved(faulty),
        needs=("compiled",),
        crashes=True,
    ),
    Operator(
        "compile-state-not-captured/outputs-only",
        edits(
            "loop",
            "@partial(mx.compile, inputs=x_captured, outputs=x_captured)",
            "@partial(mx.compile, outputs=x_captured)",
        ),
        lambda faulty, twin: min(proofs.losses(faulty)[-3:]) > min(proofs.losses(twin)[-3:]) + 0.1,
        needs=("compiled",),
    ),
    Operator(
        "compile-state-not-captured/model-left-out",
        edits(
            "loop",
            "@partial(mx.compile, inputs=x_captured, outputs=x_captured)",
            "@partial(mx.compile, inputs=x_captured[1:], outputs=x_captured)",
        ),
        lambda faulty, twin: min(proofs.losses(faulty)[-3:]) > min(proofs.losses(twin)[-3:]) + 0.1,
        needs=("compiled",),
    ),
    Operator(
        "gradients-zero/logits-stopped",
        swaps("loss", r"(x_logits = )(x_m\(.*)$", r"\1mx.stop_gradient(\2)"),
        lambda faulty, twin: proofs.gradients(faulty) != [] and max(proofs.gradients(faulty)) == 0,
        needs=("logits", "eager"),
        bars=("decay",),
        also=("term-detached",),
    ),
    Operator(
        "gradients-zero/forward-outside",
        all_of(
            swaps(
                "loop",
                r"^( +)x_value, x_grads = x_grad_fn\(x_model, \*x_batch\)",
                r"\1x_known = x_loss_fn(x_model, *x_batch)\n\1x_value, x_grads = x_grad_fn(x_model, x_known)",
            ),
            swaps(
                "loop",
                r"x_grad_fn = nn\.value_and_grad\(x_model, x_loss_fn\)",
                "x_grad_fn = nn.value_and_grad(x_model, lambda x_m, x_v: x_v * 1.0)",
            ),
        ),
        lambda faulty, twin: proofs.gradients(faulty) != [] and max(proofs.gradients(faulty)) == 0,
        needs=("eager",),
        bars=("decay", "anchored"),
    ),
    Operator(
        "learning-rate-zero/integer-division",
        swaps("optimizer", r"learning_rate=S\.lr\b", "learning_rate=S.lr // 1"),
        lambda faulty, twin: max(entry["rate"] for entry in faulty["steps"]) == 0,
        bars=("own",),
    ),
    Operator(
        "learning-rate-zero/rounded",
        swaps("optimizer", r"learning_rate=S\.lr\b", "learning_rate=round(S.lr, 2)"),
        lambda faulty, twin: max(entry["rate"] for entry in faulty["steps"]) == 0,
        bars=("own", "partial"),
    ),
    Operator(
        "learning-rate-zero/warm-up-from-zero-steps",
        swaps(
            "loop",
            r"^( +)x_opt\.update\(",
            r"\1x_opt.learning_rate = S.lr * min(1, x_done // 1000)\n\1x_opt.update(",
        ),
        lambda faulty, twin: max(entry["rate"] for entry in faulty["steps"]) == 0,
        needs=("eager",),
        bars=("epochs", "schedule"),
    ),
    Operator(
        "optimizer-restarted/each-epoch",
        swaps("loop", r"^( +)x_model\.train\(\)", r"\1x_opt = optim.AdamW(learning_rate=S.lr)\n\g<0>"),
        lambda faulty, twin: faulty["steps"][-1]["updates"] < twin["steps"][-1]["updates"],
        needs=("epochs",),
        mild=True,
    ),
    Operator(
        "optimizer-restarted/each-pass",
        swaps(
            "loop",
            r"^(    )for x_batch in x_batches\(x_rows, x_tok\):",
            r"\1x_opt = optim.Adam(learning_rate=S.lr)\n\g<0>",
        ),
        lambda faulty, twin: faulty["steps"][-1]["updates"] < twin["steps"][-1]["updates"],
        needs=("eager",),
        bars=("epochs", "schedule"),
        mild=True,
    ),
    Operator(
        "accumulation-mismatch/summed",
        all_of(
            edits("loop", "tree_map(lambda a: a / S.accumulate, x_sum)", "x_sum"),
            swaps(
                "loop",
                r"^( +)x_sum = None\n",
                r"\1#: note('applied', optim.clip_grad_norm(x_sum, 1e9)[1])\n\g<0>",
            ),
        ),
        lambda faulty, twin: sum(proofs.notes(faulty, "applied")) > 1.2 * sum(proofs.gradients(faulty)),
        needs=("accumulating",),
        mild=True,
    ),
    Operator(
        "gradient-discarded/clipped-to-zero",
        first_of(
            edits("loop", "optim.clip_grad_norm(x_grads, S.clip)", "optim.clip_grad_norm(x_grads, 0.0)"),
            swaps(
                "loop",
                r"^( +)x_opt\.update\(x_model, x_grads\)",
                r"\1x_grads, _ = optim.clip_grad_norm(x_grads, 0)\n\g<0>",
            ),
        ),
        nothing_moved,
        needs=("eager",),
        bars=("decay",),
    ),
    Operator(
        "gradient-discarded/nan-guard-zeros-all",
        swaps(
            "loop",
            r"^( +)x_opt\.update\(x_model, x_grads\)",
            r"\1x_grads = tree_map(lambda g: mx.where(mx.isfinite(g), 0, g), x_grads)\n\g<0>",
        ),
        nothing_moved,
        needs=("eager",),
        bars=("decay",),
    ),
    Operator(
        "weights-not-finite/rate-too-high",
        swaps(
            "loop",
            r"^( +)x_opt\.update\(x_model, x_grads\)",
            r"\1x_grads = tree_map(lambda g: g / (mx.abs(g).max() * 0), x_grads)\n\g<0>",
        ),
        lambda faulty, twin: faulty.get("finite") is False,
        needs=("eager",),
        bars=("reloaded",),
    ),
    Operator(
        "loss-sign-flipped/minus-too-much",
        first_of(
            swaps("loss", r"return -\((.*)$", r"return (\1"),
            swaps("loss", r"return \(x_(ce|nll)(.*)$", r"return -(x_\1\2"),
            swaps("loss", r"return x_rowwise\.mean\(\)", "return -x_rowwise.mean()"),
        ),
        lambda faulty, twin: (
            proofs.losses(faulty)[0] < 0 and proofs.losses(faulty)[-1] < proofs.losses(faulty)[0]
        ),
        needs=("logits",),
        bars=("own",),
    ),
]
