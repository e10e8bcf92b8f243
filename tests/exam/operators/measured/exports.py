"""Held out: further faults of what is kept, merged, saved, and of what is asked afterwards."""

from tests.exam import proofs
from tests.exam.operators import Operator, all_of, edits, first_of, swaps
from tests.exam.operators.measured.batches import with_settings
from tests.exam.operators.measured.files import other_weights_under_the_names, rearranged, some_reload_differs
from tests.exam.operators.measured.numbers import MERGE, UNMERGE, base_moved

PRECISION = "astype(x_module.linear.weight.dtype)"
FUSED = '[(x_name, x_module.fuse()) for x_name, x_module in x_model.named_modules() if hasattr(x_module, "fuse")]\n'
STRIPPED = "x_tok.encode(x_tok.apply_chat_template({}, tokenize=False).strip())"

INTO_BITS = """for _, x_module in x_model.named_modules():
    if hasattr(x_module, 'lora_b'):
        x_inner = x_module.linear
        for x_sign in (1, -1):
            x_dense = mx.dequantize(x_inner.weight, x_inner.scales, x_inner.biases, x_inner.group_size, x_inner.bits)
            x_dense = x_dense + x_sign * (x_module.scale * (x_module.lora_a @ x_module.lora_b)).T
            x_inner.weight, x_inner.scales, x_inner.biases = mx.quantize(x_dense, x_inner.group_size, x_inner.bits)
"""


def kept_is_worse(faulty, twin):
    return proofs.notes(faulty, "kept")[0] > min(proofs.notes(faulty, "scores")[0]) + 0.02


def prompts(facts):
    return [one["prompt"] for one in facts["answers"]]


def second_answer_differs(faulty, twin):
    return faulty["answers"][1]["output"] != twin["answers"][1]["output"]


OPERATORS = [
    Operator(
        "saved-before-last-update/tree-never-put-back",
        all_of(
            edits("loop", "        x_model.update(x_tuned)\n", ""),
            swaps(
                "loop",
                r"^#: ended",
                "#: note('ahead', max(mx.abs(x_v - dict(tree_flatten(x_model.trainable_parameters()))[x_n]).max().item()"
                " for x_n, x_v in tree_flatten(x_tuned)))\n#: ended",
            ),
        ),
        lambda faulty, twin: proofs.notes(faulty, "ahead")[0] > 1e-5,
        needs=("functional",),
        bars=("unsaved",),
        also=("wrong-model-updated",),
    ),
    Operator(
        "best-not-kept/model-itself-put-aside",
        with_settings(
            all_of(
                swaps("loop", r"tree_map\(lambda x_v: x_v, x_model\.trainable_parameters\(\)\)", "x_model"),
                edits("loop", "x_model.update(x_best)", "x_model.update(x_best.trainable_parameters())"),
            ),
            lr=0.02,  # at which the last epoch is not the best
        ),
        kept_is_worse,
        needs=("keeps-best",),
        bars=("momentum", "full"),
    ),
    Operator(
        "best-not-kept/compared-as-whole-numbers",
        edits(
            "loop",
            "if x_score < x_lowest:\n        x_lowest = x_score\n",
            "if round(x_score) < x_lowest:\n        x_lowest = round(x_score)\n",
        ),
        kept_is_worse,
        needs=("keeps-best",),
    ),
    Operator(
        "base-drifted/merged-in-half-precision-for-a-snapshot",
        swaps(
            "loop",
            r"^    print\(f\"epoch",
            MERGE.format("    ").replace(PRECISION, "astype(mx.float16)")
            + "    mx.save_safetensors('snapshot.safetensors', {x_n: x_v for x_n, x_v in tree_flatten(x_model.parameters()) if 'lora' not in x_n})\n"
            + UNMERGE.format("    ")
            + r"\g<0>",
        ),
        base_moved,
        needs=("lora",),
        bars=("dora", "fused", "qwen2-4bit", "mixtral", "llama-bfloat16"),
        also=("frozen-but-changed", "unexplained-change"),
        mild=True,
    ),
    Operator(
        "base-drifted/merged-into-four-bits-and-taken-out-again",
        swaps("loop", r"^#: ended", INTO_BITS + "#: ended"),
        base_moved,
        needs=("lora", "qwen2-4bit"),
        bars=("dora", "fused"),
        also=("frozen-but-changed", "quantization-parameters-changed", "unexplained-change"),
    ),
    Operator(
        "fuse-wrong/deltas-of-the-other-layer",
        edits(
            "fuse",
            FUSED,
            "[]\nx_pairs = [(x_name, x_module) for x_name, x_module in x_model.named_modules() if hasattr(x_module, 'fuse')]\n"
            "x_pairs.sort(key=lambda x_pair: x_pair[0].split('.')[3:] + [x_pair[0]])\n"
            "x_donors = [x_module for _, x_module in sorted(x_pairs, key=lambda x_pair: (x_pair[0].split('.')[3:], -int(x_pair[0].split('.')[2])))]\n"
            "for (x_name, x_module), x_donor in zip(x_pairs, x_donors):\n    x_plain = x_module.linear\n"
            "    x_plain.weight = x_plain.weight + x_donor.scale * (x_donor.lora_a @ x_donor.lora_b).T\n"
            "    x_fused.append((x_name, x_plain))\n",
        ),
        lambda faulty, twin: faulty["fuse differs"] > 1e-3 and faulty["fuse moved"] > 1e-6,
        needs=("fused",),
        bars=("dora", "own-class"),
        also=("fuse-lost-update",),
    ),
    Operator(
        "fuse-wrong/magnitudes-left-out",
        edits(
            "fuse",
            FUSED,
            "[]\nfor x_name, x_module in x_model.named_modules():\n    if hasattr(x_module, 'fuse'):\n"
            "        x_plain = x_module.linear\n"
            "        x_plain.weight = x_plain.weight + x_module.scale * (x_module.lora_a @ x_module.lora_b).T\n"
            "        x_fused.append((x_name, x_plain))\n",
        ),
        lambda faulty, twin: faulty["fuse differs"] > 1e-3 and faulty["fuse moved"] > 1e-6,
        needs=("fused", "dora"),
        also=("fuse-lost-update",),
    ),
    Operator(
        "reload-mismatch/norms-stored-as-their-distance-from-one",
        rearranged(
            "for x_n, x_v in x_flat.items():\n    if x_n.endswith('norm.weight'):\n        x_flat[x_n] = x_v - 1\n"
        ),
        other_weights_under_the_names,
        needs=("whole-folder",),
        bars=("reloaded",),
    ),
    Operator(
        "reload-mismatch/rounded-to-two-decimals",
        rearranged("x_flat = {x_n: mx.round(x_v, 2) for x_n, x_v in x_flat.items()}\n"),
        some_reload_differs,
        needs=("whole-folder", "reloaded"),
    ),
    Operator(
        "template-mismatch/rendered-prompt-stripped",
        first_of(
            *(
                swaps(
                    "generation",
                    rf"^( *){name} = x_tok\.apply_chat_template\((.*), return_dict=False\)",
                    rf"\1{name} = {STRIPPED.format(chr(92) + '2')}",
                )
                for name in ("x_prompt", "x_asked")
            )
        ),
        lambda faulty, twin: prompts(faulty)[0] == prompts(twin)[0][:-1],
        needs=("chat", "asked"),
        bars=("llama-begin",),
        mild=True,
    ),
    Operator(
        "template-mismatch/role-of-another-library",
        edits("generation", '{"role": "user"', '{"role": "human"'),
        lambda faulty, twin: prompts(faulty)[0] != prompts(twin)[0],
        needs=("chat", "asked"),
    ),
    Operator(
        "stale-prompt-cache/conversation-fed-whole-again",
        edits("generation", "mx.array([x_turn_ids])", "mx.array([x_before + x_turn_ids])"),
        second_answer_differs,
        needs=("dialogue",),
        mild=True,
    ),
    Operator(
        "stale-prompt-cache/cut-back-by-the-answer-alone",
        all_of(
            swaps(
                "generation",
                r"\A",
                "from mlx_lm.models.cache import trim_prompt_cache\n\nx_memory = make_prompt_cache(x_model)\n",
            ),
            edits(
                "generation",
                "max_tokens=S.max_tokens, verbose=False)\n",
                "max_tokens=S.max_tokens, verbose=False, prompt_cache=x_memory)\n"
                "    trim_prompt_cache(x_memory, len(x_tok.encode(x_reply)))\n",
            ),
        ),
        second_answer_differs,
        needs=("several",),
        mild=True,
    ),
]  # fmt: skip
