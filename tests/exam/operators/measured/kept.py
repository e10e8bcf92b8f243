"""Held out: faults of saves, reloads and generations."""

from tests.exam import proofs
from tests.exam.operators import Operator, all_of, before, edits, first_of, swaps

TREE = r"dict\(tree_flatten\(x_model\.trainable_parameters\(\)\)\)"


def kept(facts):
    return facts["saved"][-1] if facts["saved"] else {}


OPERATORS = [
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
        "save-failed/empty-dictionary",
        swaps("save", TREE, "{x_n: x_v for x_n, x_v in getattr(x_model, 'adapters', {}).items()}"),
        lambda faulty, twin: kept(faulty).get("names") == [],
        needs=("lora",),
        bars=("reloaded", "reloaded-apart"),
        also=("adapter-incomplete",),
    ),
    Operator(
        "saved-before-last-update/training-goes-on-after-the-save",
        all_of(
            swaps(
                "generation",
                r"\A",
                "x_late = nn.value_and_grad(x_model, x_loss_fn)\nfor x_batch in x_batches(x_rows, x_tok):\n    x_opt.update(x_model, x_late(x_model, *x_batch)[1])\n    mx.eval(x_model.parameters(), x_opt.state)\n#: ended(x_model)\n",
            ),
        ),
        lambda faulty, twin: kept(faulty).get("end", 1) < len(kept(faulty).get("names", [])),
        bars=("unsaved", "own", "anchored", "reloaded", "reloaded-apart", "fused", "z-term"),
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
        "dropout-in-generation/layers-set-by-hand",
        before(
            "generation",
            "for _, x_module in x_model.named_modules():\n    if hasattr(x_module, 'lora_a'):\n        x_module.train()\n",
        ),
        lambda faulty, twin: any(one["repeat differs"] > 1e-4 for one in faulty["answers"]),
        needs=("dropout", "asked"),
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
        "template-mismatch/assistant-header-left-out",
        swaps("generation", r"add_generation_prompt=True, ", ""),
        lambda faulty, twin: faulty["answers"][0]["prompt"] != twin["answers"][0]["prompt"],
        needs=("chat", "asked"),
        mild=True,
    ),
]
