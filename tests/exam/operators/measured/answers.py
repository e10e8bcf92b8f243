"""Held out: faults of what is said to be in force, of validation, of compiled functions and caches, of errors passed over."""

from tests.exam import proofs
from tests.exam.grammar import Program
from tests.exam.operators import Operator, all_of, edits, first_of, swaps

SHARED = "#: note('shared', sum(x_row in x_rows for x_row in x_held))\n"
COMPILED = "mx.compile(lambda *x_parts: x_loss_fn(x_model, *x_parts))"


def rates(facts):
    return [entry["rate"] for entry in facts["steps"]]


def declared(edit):
    """The edit where the program is told its settings from outside: what stands in its code alone is no promise."""

    def one(program: Program) -> Program | None:
        return edit(program) if program.configuration in ("json", "yaml", "command-line") else None

    return one


def never_cut(program: Program) -> Program | None:
    """A length is set, and rows that are longer stay whole."""
    if program.pieces["batching"].name != "batching/fixed-length":
        return None
    longest = "max(S.max_len, max(len(x_i) for x_i, _ in x_part))"
    made = program.edited("batching", "S.max_len", longest)
    return made.setting(max_len=20) if made is not None else None


def raised(faulty, twin):
    return bool(proofs.notes(faulty, "raised"))


def shared(faulty, twin):
    return proofs.notes(faulty, "shared")[0] > 1


def another_score(faulty, twin):
    return abs(proofs.notes(faulty, "compiled")[-1] - proofs.notes(faulty, "plain")[-1]) > 0.05


OPERATORS = [
    Operator(
        "evaluated-on-training-data/part-of-the-rows-it-learns",
        swaps("data", r"\Z", "x_held = x_rows[:4]\n" + SHARED),
        shared,
        needs=("sft", "validating"),
        mild=True,
        alone=True,
    ),
    Operator(
        "evaluated-on-training-data/path-of-the-wrong-file",
        all_of(
            edits("data", 'open("data/valid.jsonl")', 'open("data/train.jsonl")'),
            swaps("data", r"\Z", "#: note('shared', sum(x_held[x_at][0] == x_rows[x_at][0] for x_at in range(4)))\n"),
        ),
        shared,
        needs=("own",),
        mild=True,
        alone=True,
    ),
    Operator(
        "evaluated-on-training-data/slice-from-the-front",
        all_of(
            edits("data", "x_lines[10:]", "x_lines[:4]"),
            swaps("data", r"\Z", "#: note('shared', sum(x_held[x_at][0] == x_rows[x_at][0] for x_at in range(4)))\n"),
        ),
        shared,
        needs=("own",),
        mild=True,
        alone=True,
    ),
    Operator(
        "compile-random-frozen/noise-of-the-loss",
        all_of(
            edits("loop", "[x_model.state, x_opt.state, mx.random.state]", "[x_model.state, x_opt.state]"),
            first_of(
                edits("loss", "x_logits = x_m(x_ids[:, :-1])\n", "x_logits = x_m(x_ids[:, :-1])\n    x_logits = x_logits + 0.05 * mx.random.normal(x_logits.shape)\n"),
                edits("loss", "x_logits = x_m(x_inputs)\n", "x_logits = x_m(x_inputs)\n    x_logits = x_logits + 0.05 * mx.random.normal(x_logits.shape)\n"),
            ),
            edits("loop", "#: ended(x_model)\n", "#: ended(x_model)\n#: repeats(x_step, x_opt, x_batch)\n"),
        ),
        lambda faulty, twin: proofs.notes(faulty, "repeats") == [True],
        needs=("compiled", "logits"),
        bars=("schedule", "anchored", "dropout"),
    ),
    Operator(
        "stale-compiled-function/score-compiled-before-the-first-epoch",
        all_of(
            swaps("loop", r"\A", f"x_score_of = {COMPILED}\n"),
            first_of(
                edits(
                    "loop",
                    "x_scores = [x_loss_fn(x_model, *x_batch).item()",
                    "x_scores = [x_score_of(*x_batch).item()",
                ),
                edits("loop", "x_parts = [x_loss_fn(x_model, *x_batch).item()", "x_parts = [x_score_of(*x_batch).item()"),
            ),
            swaps(
                "loop",
                r"^#: ended",
                "#: note('compiled', x_score_of(*[*x_batches(x_held, x_tok)][0]))\n"
                "#: note('plain', x_loss_fn(x_model, *[*x_batches(x_held, x_tok)][0]))\n#: ended",
            ),
        ),
        another_score,
        bars=("own", "dropout", "anchored"),
        also=("best-not-kept", "saved-untrained"),
    ),
    Operator(
        "stale-compiled-function/held-out-loss-before-and-after",
        all_of(
            swaps(
                "loop",
                r"\A",
                f"x_best = {COMPILED}\nprint('before', sum(x_best(*x_batch).item() for x_batch in x_batches(x_held, x_tok)))\n",
            ),
            edits("evaluation", "x_total += x_loss_fn(x_model, *x_batch).item()\n", "x_total += x_best(*x_batch).item()\n"),
            swaps(
                "evaluation",
                r"\Z",
                "#: note('compiled', x_best(*x_batch))\n#: note('plain', x_loss_fn(x_model, *x_batch))\n",
            ),
        ),
        another_score,
        needs=("evaluated",),
        bars=("dropout", "keeps-best"),
    ),
    Operator(
        "stale-prompt-cache/warmed-with-the-question",
        edits(
            "generation",
            "x_cache = make_prompt_cache(x_model)\n",
            "x_cache = make_prompt_cache(x_model)\nmx.eval(x_model(mx.array([x_prompt]), cache=x_cache))\n",
        ),
        lambda faulty, twin: faulty["answers"][0]["output"] != twin["answers"][0]["output"],
        needs=("greedy-loop",),
        mild=True,
    ),
    Operator(
        "error-swallowed/answer-asked-with-an-unknown-option",
        first_of(
            edits(
                "generation",
                "x_answer = generate(x_model, x_tok, prompt=x_prompt, max_tokens=S.max_tokens)\n",
                "try:\n    x_answer = generate(x_model, x_tok, prompt=x_prompt, max_tokens=S.max_tokens, temp=S.temperature)\n"
                "except Exception as x_error:\n    print('no answer:', x_error)\n    x_answer = ''\n    #: note('raised', str(x_error))\n",
            ),
        ),
        raised,
        needs=("generate-call",),
        mild=True,
    ),
    Operator(
        "error-swallowed/reload-of-a-path-that-is-not-there",
        first_of(
            edits(
                "reload",
                'x_again, _ = load("base", adapter_path=S.out)\n#: reloaded(x_again)\n',
                'try:\n    x_again, _ = load("base", adapter_path=S.out + "-final")\n    #: reloaded(x_again)\n'
                "except Exception as x_error:\n    print('reload skipped:', x_error)\n    #: note('raised', str(x_error))\n",
            ),
            edits(
                "reload",
                'x_again, _ = load("out")\n#: reloaded(x_again)\n',
                'try:\n    x_again, _ = load("out/final")\n    #: reloaded(x_again)\n'
                "except Exception as x_error:\n    print('reload skipped:', x_error)\n    #: note('raised', str(x_error))\n",
            ),
        ),
        raised,
        mild=True,
    ),
    Operator(
        "error-swallowed/clipping-called-without-its-bound",
        swaps(
            "loop",
            r"^( +)x_opt\.update\(x_model, (x_grads|x_tree)\)",
            "\\1try:\n\\1    \\2, _ = optim.clip_grad_norm(\\2)\n\\1except Exception as x_error:\n"
            "\\1    x_reason = str(x_error)\n\\1    #: note('raised', x_reason)\n\\g<0>",
        ),
        raised,
        bars=("own", "accumulating", "compiled", "clipped", "validating"),
        also=("setting-not-in-force",),
        mild=True,
    ),
    Operator(
        "best-not-kept/state-of-the-epoch-before",
        all_of(
            swaps(
                "loop",
                r"^    x_model\.train\(\)\n",
                "    x_earlier = tree_map(lambda x_v: x_v, x_model.trainable_parameters())\n\\g<0>",
            ),
            swaps("loop", r"^( {8})x_best = tree_map.*$", r"\1x_best = x_earlier"),
        ),
        lambda faulty, twin: proofs.notes(faulty, "kept")[0] > min(proofs.notes(faulty, "scores")[0]) + 0.02,
        needs=("keeps-best",),
    ),
    Operator(
        "best-not-kept/kept-only-the-first-time",
        swaps("loop", r"^( {8})x_best = (tree_map.*)$", r"\1x_best = \2 if len(x_scores) == 1 else x_best"),
        lambda faulty, twin: proofs.notes(faulty, "kept")[0] > min(proofs.notes(faulty, "scores")[0]) + 0.02,
        needs=("keeps-best",),
    ),
    Operator(
        "setting-not-in-force/rate-typed-into-the-optimizer",
        declared(swaps("optimizer", r"learning_rate=S\.lr\b", "learning_rate=S.lr if S.steps < 0 else 4e-4")),
        lambda faulty, twin: rates(faulty)[0] != rates(twin)[0] and len(set(rates(twin))) == 1,
        bars=("own", "partial", "momentum"),
        mild=True,
    ),
    Operator(
        "setting-not-in-force/rows-never-cut",
        declared(never_cut),
        lambda faulty, twin: max(len(row) for f in proofs.forwards(faulty) for row in f["inputs"]) > 24,
        needs=("sft",),
        bars=("own",),
        mild=True,
    ),
    Operator(
        "setting-not-in-force/accumulation-said-and-stepped-each-time",
        declared(edits("loop", "if x_micro % S.accumulate == 0:", "if x_micro % max(S.accumulate // 8, 1) == 0:")),
        lambda faulty, twin: faulty["updates"] > twin["updates"],
        needs=("accumulating",),
        also=("accumulation-mismatch",),
        mild=True,
    ),
]  # fmt: skip
