"""Operators that were held out until somebody read a miss of theirs while mending a detector."""

from tests.exam import proofs
from tests.exam.operators import Operator, all_of, before, edits, first_of, swaps

TREE = r"dict\(tree_flatten\(x_model\.trainable_parameters\(\)\)\)"
UPDATE = r"^( +)x_opt\.update\(x_model, (x_grads|x_tree)\)"


def kept(facts):
    return facts["saved"][-1] if facts["saved"] else {}


def nothing_moved(faulty, twin):
    return not proofs.moved(faulty) and proofs.moved(twin)


OPERATORS = [
    Operator(
        "adapter-incomplete/attention-only",
        swaps(
            "save",
            TREE,
            "{x_n: x_v for x_n, x_v in tree_flatten(x_model.trainable_parameters()) if 'q_proj' in x_n}",
        ),
        lambda faulty, twin: 0 < len(kept(faulty)["names"]) < len(kept(twin)["names"]),
        needs=("lora",),
        bars=("reloaded", "reloaded-apart"),
    ),
    Operator(
        "dropout-in-generation/layers-set-by-hand",
        before(
            "generation",
            "for _, x_module in x_model.named_modules():\n    if hasattr(x_module, 'lora_a'):\n        x_module.train()\n",
        ),
        lambda faulty, twin: any(one["repeat differs"] > 1e-4 for one in faulty["answers"]),
        needs=("dropout", "asked"),
    ),
    Operator(
        "gradient-discarded/mask-of-gradients",
        swaps("loop", UPDATE, r"\1\2 = tree_map(lambda x_g: x_g * 0, \2)\n\g<0>"),
        nothing_moved,
        bars=("decay", "own", "accumulating", "compiled"),
    ),
    Operator(
        "gradient-discarded/norm-floor",
        swaps(
            "loop",
            UPDATE,
            r"\1if optim.clip_grad_norm(\2, 1.0)[1].item() < 1e9:\n\1    \2 = tree_map(mx.zeros_like, \2)\n\g<0>",
        ),
        nothing_moved,
        bars=("decay", "own", "accumulating", "compiled"),
    ),
    Operator(
        "loss-sign-flipped/ascends",
        swaps("loop", UPDATE, r"\1\2 = tree_map(lambda x_g: -x_g, \2)\n\g<0>"),
        lambda faulty, twin: proofs.losses(faulty)[-1] > proofs.losses(faulty)[0],
        bars=("own", "accumulating", "compiled", "dpo", "orpo"),
        also=("update-too-large",),
        mild=True,
    ),
    Operator(
        "randomness-in-generation/noisy-embedding",
        all_of(
            swaps(
                "generation",
                r"\A",
                "x_embed = x_model.model.embed_tokens\nx_plain_call = type(x_embed).__call__\ntype(x_embed).__call__ = lambda x_e, x_i: (lambda x_o: x_o + 0.3 * mx.random.normal(x_o.shape).astype(x_o.dtype))(x_plain_call(x_e, x_i))\n",
            ),
        ),
        lambda faulty, twin: any(one["repeat differs"] > 1e-4 for one in faulty["answers"]),
        needs=("asked",),
        bars=("dropout",),
    ),
    Operator(
        "saved-untrained/from-a-fresh-conversion",
        all_of(
            swaps(
                "save",
                r"\A",
                "x_blank, _ = load('base')\nx_blank.freeze()\nlinear_to_lora_layers(x_blank, -1, {'rank': S.rank, 'scale': S.scale, 'dropout': 0.0})\n",
            ),
            swaps("save", TREE, "dict(tree_flatten(x_blank.trainable_parameters()))"),
        ),
        lambda faulty, twin: kept(faulty).get("end") == 0,
        needs=("lora-call",),
        bars=("reloaded", "reloaded-apart", "lora-keys", "dora"),
        also=("saved-before-last-update", "wrong-model-updated", "reload-mismatch"),
    ),
    Operator(
        "stale-model-in-generation/adapter-switched-off",
        before(
            "generation",
            "for _, x_module in x_model.named_modules():\n    if hasattr(x_module, 'lora_b'):\n        x_module.lora_b = mx.zeros_like(x_module.lora_b)\n",
        ),
        lambda faulty, twin: any(proofs.stale(faulty)),
        needs=("asked", "lora"),
        bars=("unsaved", "fused"),
        also=("unexplained-change",),
    ),
    Operator(
        "stop-token-missing/added-as-text",
        first_of(
            edits("generation", "verbose=False)", "verbose=False)\n    x_tok._eos_token_ids = {3}"),
            swaps("generation", r"^( *)(x_reply = generate)", r"\1x_tok._eos_token_ids = {1}\n\1\2"),
        ),
        lambda faulty, twin: (
            any(2 in one["output"][:-1] for one in faulty["answers"])
            and not any(2 in one["output"][:-1] for one in twin["answers"])
        ),
        needs=("asked",),
        bars=("warm",),
    ),
    Operator(
        "template-mismatch/assistant-header-left-out",
        swaps("generation", r"add_generation_prompt=True, ", ""),
        lambda faulty, twin: faulty["answers"][0]["prompt"] != twin["answers"][0]["prompt"],
        needs=("chat", "asked"),
        mild=True,
    ),
    Operator(
        "update-too-large/rate-of-another-optimizer",
        swaps("optimizer", r"learning_rate=S\.lr\b", "learning_rate=S.lr * 1000"),
        lambda faulty, twin: max(proofs.losses(faulty)[3:]) > 2 * proofs.losses(twin)[0],
        bars=("own", "fused", "reloaded"),
        also=("weights-not-finite",),
        mild=True,
    ),
    Operator(
        "weights-not-finite/log-of-zero",
        swaps(
            "loss",
            r"^( +)return (.*)$",
            r"\1x_out = \2\n\1return x_out + mx.log(mx.maximum(x_out * 0, 0)) * 0",
        ),
        lambda faulty, twin: faulty.get("finite") is False,
        needs=("sft",),
        bars=("reloaded", "reloaded-apart", "fused", "compiled"),
    ),
    Operator(
        "adapter-not-loaded/names-without-the-model",
        swaps(
            "save",
            TREE,
            "{x_n.replace('model.layers', 'transformer.h'): x_v for x_n, x_v in tree_flatten(x_model.trainable_parameters())}",
        ),
        lambda faulty, twin: not any("model.layers" in name for name in kept(faulty)["names"]),
        needs=("lora",),
        bars=("reloaded", "reloaded-apart"),
    ),
    Operator(
        "token-id-out-of-range/token-added-without-a-row",
        all_of(
            swaps("data", r"\A", "x_tok._tokenizer.add_tokens(['<|arr|>'])\n"),
            swaps(
                "data",
                r"^( +)x_ids = x_tk\.apply_chat_template\(x_messages",
                "\\1x_messages = [{**x_m, 'content': x_m['content'].replace('Arr!', '<|arr|>')} for x_m in x_messages]\n\\g<0>",
            ),
        ),
        lambda faulty, twin: proofs.largest(faulty) > proofs.largest(twin) and proofs.largest(faulty) > 383,
        needs=("sft", "chat"),
        bars=("by-hand", "anchored"),
    ),
    Operator(
        "nothing-trainable/wrong-unfreeze-key",
        swaps(
            "trained",
            r"^#: adapted",
            "x_model.freeze()\nx_model.unfreeze(keys=['lora_A', 'lora_B'], strict=False)\n#: adapted",
        ),
        lambda faulty, twin: faulty.get("trainable") == [],
        needs=("lora",),
        crashes=True,
    ),
    Operator(
        "optimizer-never-stepped/continue-on-finite",
        swaps(
            "loop",
            UPDATE,
            r"\1if not mx.isnan(mx.array(0.0)).item():\n\1    x_opt.learning_rate\n\1else:\n\1    x_opt.update(x_model, \2)",
        ),
        nothing_moved,
        bars=("own", "accumulating", "compiled"),
    ),
]
