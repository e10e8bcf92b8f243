"""Held out: faults of adapters, of the model's own computation and of what is written beside weights."""

from tests.exam import proofs
from tests.exam.grammar import Program
from tests.exam.operators import Operator, all_of, edits, first_of, swaps

ADAPTED = r"^#: adapted"
TREE = r"dict\(tree_flatten\(x_model\.trainable_parameters\(\)\)\)"


def kept(facts):
    return facts["saved"][-1] if facts["saved"] else {}


def noted(key, wanted):
    return lambda faulty, twin: proofs.notes(faulty, key)[:1] == [wanted]


def without_rope(text):
    """The copied configuration written anew, on bases whose own rotary base is not the loader's default."""
    edit = swaps("save", r'^for x_name in \("config\.json", (.*)$', rf"{text}for x_name in (\1")

    def one(program: Program) -> Program | None:
        return edit(program) if program.base in ("qwen2", "qwen2-tied", "qwen2-three") else None

    return one


def earlier_stage(program: Program) -> Program | None:
    """Weights of an earlier stage under the adapter, which the reload knows nothing of."""
    if not {"reloaded", "reloaded-apart"} & program.tags:
        return None
    return program.before(
        "trained",
        "mx.save_safetensors('stage1.safetensors', {x_n: x_v * 1.15 for x_n, x_v in tree_flatten(x_model.parameters())})\n"
        "x_model.load_weights('stage1.safetensors', strict=False)\n#: loaded(x_model)\n",
    )


def at_adapters(text):
    """Statements on each adapted module `x_module`, before training."""
    return swaps(
        "trained",
        ADAPTED,
        f"for _, x_module in x_model.named_modules():\n    if hasattr(x_module, 'lora_b'):\n{text}#: adapted",
    )


OPERATORS = [
    Operator(
        "lora-inert/alpha-divided-as-integers",
        first_of(
            edits("trained", '"scale": S.scale', '"scale": int(S.scale) // (2 * S.rank)'),
            edits("trained", "scale=S.scale", "scale=int(S.scale) // (2 * S.rank)"),
        ),
        lambda faulty, twin: faulty["scales"] == [0.0] != twin["scales"],
        needs=("lora",),
        bars=("reloaded", "reloaded-apart", "fused", "dora"),
        also=("gradients-zero", "lora-scale-mismatch"),
    ),
    Operator(
        "lora-inert/both-factors-zero",
        at_adapters("        x_module.lora_a = mx.zeros_like(x_module.lora_a)\n"),
        lambda faulty, twin: not proofs.moved(faulty) and proofs.moved(twin),
        needs=("lora",),
        bars=("fused", "dora", "own"),
        also=("gradients-zero",),
    ),
    Operator(
        "lora-starts-nonzero/principal-factors-left-in-the-base",
        at_adapters(
            "        x_left, x_sizes, x_right = mx.linalg.svd(x_module.linear.weight, stream=mx.cpu)\n"
            "        x_module.lora_a = x_right[: S.rank].T * mx.sqrt(x_sizes[: S.rank])\n"
            "        x_module.lora_b = (x_left[:, : S.rank] * mx.sqrt(x_sizes[: S.rank])).T / x_module.scale\n"
        ),
        lambda faulty, twin: faulty["fresh effect"] > 0.01 > twin["fresh effect"],
        needs=("lora",),
        bars=("fused", "mixtral", "dora", "qwen2-4bit", "llama-bfloat16"),
    ),
    Operator(
        "adapter-partly-frozen/frozen-again-by-name",
        swaps(
            "trained",
            ADAPTED,
            "for x_name, x_module in x_model.named_modules():\n    if x_name.endswith('q_proj') or x_name.endswith('up_proj'):\n        x_module.freeze()\n#: adapted",
        ),
        lambda faulty, twin: 0 < len(faulty["trainable"]) < len(twin["trainable"]),
        needs=("lora",),
        bars=("reloaded", "reloaded-apart", "fused"),
        also=("adapter-incomplete",),
        mild=True,
    ),
    Operator(
        "lora-scale-mismatch/root-of-the-rank-in-the-config",
        swaps("save", r'"scale": S\.scale', '"scale": S.scale / math.sqrt(S.rank)'),
        lambda faulty, twin: kept(faulty)["declared scale"] not in faulty["scales"],
        needs=("adapter-folder",),
        bars=("reloaded", "reloaded-apart"),
    ),
    Operator(
        "wrong-base/adapter-on-weights-of-an-earlier-stage",
        earlier_stage,
        lambda faulty, twin: faulty["reload differs"] > 1e-2,
        needs=("lora",),
        bars=("qwen2-4bit", "fused"),
        also=("reload-mismatch",),
    ),
    Operator(
        "fuse-wrong/product-without-its-scale",
        edits(
            "fuse",
            '[(x_name, x_module.fuse()) for x_name, x_module in x_model.named_modules() if hasattr(x_module, "fuse")]\n',
            "[]\nfor x_name, x_module in x_model.named_modules():\n    if hasattr(x_module, 'fuse'):\n"
            "        x_plain = x_module.linear\n        x_plain.weight = x_plain.weight + (x_module.lora_a @ x_module.lora_b).T\n"
            "        x_fused.append((x_name, x_plain))\n",
        ),
        lambda faulty, twin: faulty["fuse differs"] > 1e-3 and faulty["fuse moved"] > 1e-6,
        needs=("fused",),
        bars=("dora", "own-class"),
        also=("fuse-lost-update",),
    ),
    Operator(
        "fuse-lost-update/adapter-off-for-a-baseline",
        swaps(
            "fuse",
            r"\A",
            "for _, x_module in x_model.named_modules():\n    if hasattr(x_module, 'lora_b'):\n        x_module.scale = 0.0\n"
            "print('baseline', mx.argmax(x_model(mx.array([[5, 40, 77]]))[0, -1]).item())\n",
        ),
        lambda faulty, twin: faulty["fuse differs"] > 1e-3 and faulty["fuse moved"] < 1e-6,
        needs=("fused",),
        bars=("dora", "own-class"),
        also=("fuse-wrong",),
    ),
    Operator(
        "fused-twice/adapter-loaded-onto-the-fused",
        edits(
            "fuse",
            "#: fused(x_model)\n",
            "x_model = load_adapters(x_model, S.out)\n#: fused(x_model)\n",
        ),
        lambda faulty, twin: faulty["fuse differs"] > 0.01,
        needs=("fused", "adapter-folder"),
        bars=("dora", "own-class"),
        also=("fuse-wrong",),
    ),
    Operator(
        "config-lost/keys-that-somebody-listed",
        without_rope(
            "x_small = {x_k: x_v for x_k, x_v in json.loads(Path('base/config.json').read_text()).items() if not x_k.startswith('rope')}\n"
            "Path('out/config.json').write_text(json.dumps(x_small))\n"
        ),
        lambda faulty, twin: faulty["reload differs"] > 1e-3,
        needs=("whole-folder", "reloaded"),
        also=("reload-mismatch",),
    ),
    Operator(
        "config-lost/spelled-as-another-release-does",
        without_rope(
            "x_other = json.loads(Path('base/config.json').read_text())\n"
            "x_other['rope_parameters'] = {'rope_theta': x_other.pop('rope_theta'), 'rope_type': 'default'}\n"
            "Path('out/config.json').write_text(json.dumps(x_other))\n"
        ),
        lambda faulty, twin: faulty["reload differs"] > 1e-3,
        needs=("whole-folder", "reloaded"),
        also=("reload-mismatch",),
    ),
    Operator(
        "leftover-weights/backup-beside-the-export",
        # the order in which a folder is read is the file system's: of several backups one comes last
        swaps(
            "loop",
            r"\A",
            "Path('out').mkdir(exist_ok=True)\nfor x_tag in ('before', 'first', 'old', 'copy'):\n    shutil.copy('base/model.safetensors', f'out/model-{x_tag}.safetensors')\n",
        ),
        lambda faulty, twin: faulty["reload differs"] > 1e-3,
        needs=("whole-folder", "reloaded"),
        also=("reload-mismatch",),
    ),
    Operator(
        "weights-permuted/heads-as-another-library-lays-them",
        edits(
            "save",
            'x_model.save_weights("out/model.safetensors")\n',
            "x_flat = dict(tree_flatten(x_model.parameters()))\nfor x_n, x_v in x_flat.items():\n"
            "    if x_n.endswith(('q_proj.weight', 'k_proj.weight')):\n"
            "        x_flat[x_n] = x_v.reshape(-1, 2, 4, x_v.shape[1]).swapaxes(1, 2).reshape(x_v.shape)\n"
            "mx.save_safetensors('out/model.safetensors', x_flat, {'format': 'mlx'})\n",
        ),
        lambda faulty, twin: 0 < kept(faulty)["end"] < len(kept(faulty)["names"]) == kept(twin)["end"],
        needs=("whole-folder",),
        bars=("reloaded",),
        also=("reload-mismatch",),
    ),
    Operator(
        "tie-broken/head-of-its-own-in-a-tied-model",
        swaps(
            "trained",
            ADAPTED,
            "x_model.lm_head = nn.Linear(32, x_model.args.vocab_size, bias=False)\n"
            "x_model.lm_head.weight = x_model.model.embed_tokens.weight\nx_model.args.tie_word_embeddings = False\n#: adapted",
        ),
        lambda faulty, twin: "lm_head.weight" in faulty["moved"],
        needs=("full", "qwen2-tied", "whole-folder"),
        bars=("reloaded",),
        also=("reload-mismatch", "config-lost"),
    ),
    Operator(
        "attention-not-causal/no-mask-at-all",
        swaps(
            "trained",
            ADAPTED,
            "sys.modules[type(x_model).__module__].create_attention_mask = lambda *x_a, **x_k: None\n#: causal(x_model)\n#: adapted",
        ),
        noted("causal", False),
        bars=("reloaded", "reloaded-apart", "own", "gemma2"),
    ),
    Operator(
        "attention-not-causal/mask-of-padding-alone",
        swaps(
            "trained",
            ADAPTED,
            "sys.modules[type(x_model).__module__].create_attention_mask = lambda x_h, *x_a, **x_k: mx.zeros((x_h.shape[1], 1))\n#: causal(x_model)\n#: adapted",
        ),
        noted("causal", False),
        bars=("reloaded", "reloaded-apart", "own", "gemma2", "llama-bfloat16"),
    ),
    Operator(
        "rows-not-independent/norm-over-the-batch",
        all_of(
            edits(
                "trained",
                "#: adapted(x_model)\n",
                "x_model.model.norm = x_Scale(x_model.model.norm.weight)\nx_model.model.norm.freeze()\n#: independent(x_model)\n#: adapted(x_model)\n",
            ),
            lambda program: program.with_piece(
                type(program.pieces["trained"])(
                    **{
                        **vars(program.pieces["trained"]),
                        "defs": program.pieces["trained"].defs + "\n\nclass x_Scale(nn.Module):\n"
                        "    def __init__(self, x_w):\n        super().__init__()\n        self.weight = x_w\n\n"
                        "    def __call__(self, x):\n"
                        "        return self.weight * x * mx.rsqrt(mx.mean(x * x, axis=(0, 2), keepdims=True) + 1e-6)\n",
                    }
                )
            ),
        ),
        noted("independent", False),
        needs=("lora",),
        bars=("reloaded", "reloaded-apart", "own", "gemma2", "fused"),
    ),
    Operator(
        "gradient-wrong/input-of-the-adapter-stopped",
        edits(
            "trained",
            "((x @ self.lora_a) @ self.lora_b)",
            "((mx.stop_gradient(x) @ self.lora_a) @ self.lora_b)",
        ),
        lambda faulty, twin: (
            faulty["steps"][0]["loss"] == twin["steps"][0]["loss"]
            and abs(proofs.gradients(faulty)[2] - proofs.gradients(twin)[2]) > 1e-6
        ),
        needs=("own-class",),
        bars=("compiled",),
        also=("term-detached",),
        mild=True,
    ),
    Operator(
        "base-drifted/merged-and-unmerged-each-step",
        swaps(
            "loop",
            r"^( +)x_opt\.update\(x_model, (x_grads|x_tree)\)",
            "\\g<0>\n"
            "\\1for _, x_module in x_model.named_modules():\n"
            "\\1    if hasattr(x_module, 'lora_b'):\n"
            "\\1        x_delta = (x_module.scale * (x_module.lora_a @ x_module.lora_b)).T.astype(mx.bfloat16)\n"
            "\\1        x_module.linear.weight = (x_module.linear.weight + x_delta) - x_delta",
        ),
        lambda faulty, twin: bool(faulty.get("base moved")) and not twin.get("base moved"),
        needs=("lora", "llama-bfloat16"),
        bars=("dora", "compiled", "fused"),
        also=("frozen-but-changed", "unexplained-change"),
    ),
]
