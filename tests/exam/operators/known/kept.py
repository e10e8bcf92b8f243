"""Faults of saves, reloads, fuses and generations."""

from tests.exam import proofs
from tests.exam.operators import Operator, all_of, before, edits, first_of, swaps

SAVE = r"^mx\.save_safetensors\((.*), dict\(tree_flatten\(x_model\.trainable_parameters\(\)\)\)\)"


def kept(facts):
    return facts["saved"][-1] if facts["saved"] else {}


def of_start(faulty, twin):
    one = kept(faulty)
    return one.get("start", 0) == len(one.get("names", [])) > one.get("both", 0)


def sooner(slot_to, slot_from):
    """The save moved before training."""

    def move(program):
        piece = program.pieces[slot_from]
        if not piece.body.strip():
            return None
        return program.before(slot_to, piece.body).with_piece(
            type(piece)(piece.name, slot_from, "", piece.defs, gives=piece.gives)
        )

    return move


OPERATORS = [
    Operator(
        "saved-untrained/saved-before-training",
        sooner("loop", "save"),
        of_start,
        bars=("unsaved", "reloaded", "mlx-lm-loop"),
        needs=("lora",),
    ),
    Operator(
        "saved-untrained/weights-kept-from-the-start",
        all_of(
            swaps(
                "loop",
                r"\A",
                "x_best = {x_n: mx.array(x_v) for x_n, x_v in tree_flatten(x_model.trainable_parameters())}\n",
            ),
            swaps("save", r"dict\(tree_flatten\(x_model\.trainable_parameters\(\)\)\)", "x_best"),
        ),
        of_start,
        needs=("lora",),
        bars=("reloaded",),
    ),
    Operator(
        "saved-before-last-update/every-tenth-only",
        all_of(
            swaps(
                "loop",
                r"^( +)#: step\(.*\n",
                "\\g<0>\\1if len(x_kept) < 6:\n\\1    x_kept.append(dict(tree_flatten(x_model.trainable_parameters())))\n",
            ),
            swaps("loop", r"\A", "x_best = []\n"),
            swaps("loop", r"\bx_kept\b", "x_best"),
            swaps("save", r"dict\(tree_flatten\(x_model\.trainable_parameters\(\)\)\)", "x_best[-1]"),
        ),
        lambda faulty, twin: kept(faulty).get("end") == 0 == kept(faulty).get("start"),
        needs=("lora", "eager"),
        bars=("reloaded", "dora"),
    ),
    Operator(
        "save-failed/empty-file",
        swaps(
            "save",
            r"dict\(tree_flatten\(x_model\.trainable_parameters\(\)\)\)",
            "{x_n: x_v for x_n, x_v in x_model.trainable_parameters().items() if 'lora' in x_n}",
        ),
        lambda faulty, twin: kept(faulty).get("names") == [],
        needs=("lora",),
        bars=("reloaded",),
        also=("adapter-incomplete",),
    ),
    Operator(
        "save-failed/swallowed",
        swaps(
            "save",
            SAVE,
            r"try:\n    mx.save_safetensors(str(Path('missing') / 'adapters.safetensors'), dict(tree_flatten(x_model.trainable_parameters())))\nexcept Exception as x_error:\n    print('could not save:', x_error)",
        ),
        lambda faulty, twin: kept(faulty).get("exists") is False,
        needs=("lora",),
        bars=("reloaded",),
    ),
    Operator(
        "adapter-incomplete/b-only",
        swaps(
            "save",
            r"dict\(tree_flatten\(x_model\.trainable_parameters\(\)\)\)",
            "{x_n: x_v for x_n, x_v in tree_flatten(x_model.trainable_parameters()) if x_n.endswith('lora_b')}",
        ),
        lambda faulty, twin: 0 < len(kept(faulty)["names"]) < len(kept(twin)["names"]),
        needs=("lora",),
        bars=("reloaded",),
    ),
    Operator(
        "adapter-incomplete/last-layer-lost",
        swaps(
            "save",
            r"dict\(tree_flatten\(x_model\.trainable_parameters\(\)\)\)",
            "{x_n: x_v for x_n, x_v in tree_flatten(x_model.trainable_parameters()) if 'layers.1' not in x_n}",
        ),
        lambda faulty, twin: 0 < len(kept(faulty)["names"]) < len(kept(twin)["names"]),
        needs=("lora",),
        bars=("reloaded",),
    ),
    Operator(
        "adapter-not-loaded/prefixed-keys",
        swaps(
            "save",
            r"dict\(tree_flatten\(x_model\.trainable_parameters\(\)\)\)",
            "{'base_model.' + x_n: x_v for x_n, x_v in tree_flatten(x_model.trainable_parameters())}",
        ),
        lambda faulty, twin: all(name.startswith("base_model.") for name in kept(faulty)["names"]),
        needs=("lora",),
        bars=("reloaded",),
    ),
    Operator(
        "adapter-not-loaded/into-a-plain-model",
        swaps(
            "reload",
            r'x_again, _ = load\("base", adapter_path=S\.out\)',
            'x_again, _ = load("base")\nx_again.load_weights(S.out + "/adapters.safetensors", strict=False)',
        ),
        lambda faulty, twin: faulty["reload differs"] > 1e-3,
        needs=("lora", "reloaded"),
    ),
    Operator(
        "lora-scale-mismatch/alpha-in-the-config",
        swaps("save", r'"scale": S\.scale', '"scale": S.scale * S.rank'),
        lambda faulty, twin: (
            kept(faulty)["declared scale"] not in faulty["scales"]
            and kept(twin)["declared scale"] in twin["scales"]
        ),
        needs=("adapter-folder",),
        bars=("reloaded",),
    ),
    Operator(
        "lora-scale-mismatch/default-on-reload",
        swaps("save", r'"scale": S\.scale', '"scale": 20.0'),
        lambda faulty, twin: faulty["reload differs"] > 1e-3,
        needs=("adapter-folder", "reloaded"),
    ),
    Operator(
        "fused-twice/called-on-a-fused-sum",
        swaps(
            "fuse",
            r"^x_fused = .*\n",
            "x_fused = []\nfor x_name, x_module in x_model.named_modules():\n    if hasattr(x_module, 'fuse'):\n        x_module.linear = x_module.fuse()\n        x_fused.append((x_name, x_module.fuse()))\n",
        ),
        lambda faulty, twin: faulty["fuse differs"] > 0.01,
        needs=("fused",),
        bars=("dora",),
        also=("fuse-wrong",),
    ),
    Operator(
        "fuse-lost-update/inner-layer-taken",
        swaps("fuse", r"x_module\.fuse\(\)\)", "x_module.linear)"),
        lambda faulty, twin: faulty["fuse differs"] > 1e-3 and faulty["fuse moved"] < 1e-6,
        needs=("fused",),
    ),
    Operator(
        "fuse-wrong/scale-left-out",
        swaps(
            "fuse",
            r"^x_fused = ",
            "for _, x_module in x_model.named_modules():\n    if hasattr(x_module, 'fuse'):\n        x_module.scale = x_module.scale * -1\nx_fused = ",
        ),
        lambda faulty, twin: faulty["fuse differs"] > 1e-3,
        needs=("fused",),
        bars=("dora",),
        also=("fuse-lost-update",),
    ),
    Operator(
        "stale-model-in-generation/base-answers",
        before("generation", "x_model, _ = load('base')\n"),
        lambda faulty, twin: any(proofs.stale(faulty)),
        needs=("asked",),
        bars=("unsaved",),
    ),
    Operator(
        "stale-model-in-generation/copy-from-the-start",
        all_of(
            swaps("loop", r"\A", "x_ref = copy.deepcopy(x_model)\n"),
            swaps("generation", r"\bx_model\b", "x_ref"),
        ),
        lambda faulty, twin: any(proofs.stale(faulty)),
        needs=("asked",),
        bars=("unsaved", "anchored"),
    ),
    Operator(
        "dropout-in-generation/left-in-training-mode",
        first_of(
            swaps("loop", r"^x_model\.eval\(\)\n", ""),
        ),
        lambda faulty, twin: (
            any(entry["repeat differs"] > 1e-4 for entry in faulty["answers"])
            and not any(entry["repeat differs"] > 1e-4 for entry in twin["answers"])
        ),
        needs=("dropout", "asked"),
    ),
    Operator(
        "dropout-in-generation/train-called-last",
        before("generation", "x_model.train()\n"),
        lambda faulty, twin: any(entry["repeat differs"] > 1e-4 for entry in faulty["answers"]),
        needs=("dropout", "asked"),
    ),
    Operator(
        "stop-token-missing/loop-without-a-stop",
        swaps("generation", r"    if x_id == x_tok\.eos_token_id:\n        break\n", ""),
        lambda faulty, twin: (
            2 in faulty["answers"][0]["output"][:-1] and 2 not in twin["answers"][0]["output"]
        ),
        needs=("greedy-loop",),
    ),
    Operator(
        "stop-token-missing/wrong-end",
        first_of(
            edits("generation", "x_id == x_tok.eos_token_id", "x_id == x_tok.pad_token_id"),
            swaps("generation", r"\A", "x_tok._eos_token_ids = {0}\n"),
        ),
        lambda faulty, twin: (
            len(faulty["answers"][0]["output"]) > len(twin["answers"][0]["output"])
            and 2 in faulty["answers"][0]["output"][:-1]
        ),
        needs=("asked",),
    ),
    Operator(
        "stale-prompt-cache/from-before-training",
        all_of(
            swaps(
                "loop",
                r"\A",
                "x_best = make_prompt_cache(x_model)\nx_model(mx.array([x_tok.apply_chat_template([{'role': 'user', 'content': 'What color is the sky?'}], add_generation_prompt=True, return_dict=False)[:-1]]), cache=x_best)\nmx.eval([x_c.state for x_c in x_best])\n",
            ),
            edits("generation", "x_cache = make_prompt_cache(x_model)\n", "x_cache = x_best\n"),
            edits("generation", "mx.array([x_prompt])", "mx.array([x_prompt[-1:]])"),
        ),
        lambda faulty, twin: faulty["answers"][0]["output"] != twin["answers"][0]["output"],
        needs=("greedy-loop",),
    ),
]
