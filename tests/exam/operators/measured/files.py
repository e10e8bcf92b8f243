"""Held out: what is written beside weights or read back in their place: bases, leftovers, orders, tokenizers, configurations."""

from tests.exam import proofs
from tests.exam.grammar import Program
from tests.exam.operators import Operator, all_of, edits, first_of, swaps

TREE = r"dict\(tree_flatten\(x_model\.trainable_parameters\(\)\)\)"
WHOLE = 'x_model.save_weights("out/model.safetensors")\n'
FLAT = "x_flat = dict(tree_flatten(x_model.parameters()))\n"
WRITTEN = "mx.save_safetensors('out/model.safetensors', x_flat, {'format': 'mlx'})\n"
ASKED = "mx.array([[5, 40, 77, 120]])"


def kept(facts):
    return facts["saved"][-1] if facts["saved"] else {}


def other_reload(faulty, twin):
    return faulty["reload differs"] > 1e-2


def some_reload_differs(faulty, twin):
    return faulty["reload differs"] > 1e-3


def other_weights_under_the_names(faulty, twin):
    one, two = kept(faulty), kept(twin)
    return 0 < one["end"] < len(one["names"]) == two["end"] and sorted(one["names"]) == sorted(two["names"])


def rearranged(lines):
    """A whole save whose weights are first brought into another order, by statements on `x_flat`."""
    return edits("save", WHOLE, FLAT + lines + WRITTEN)


def on(*bases):
    """An edit that is made on some bases only."""

    def limited(edit):
        return lambda program: edit(program) if program.base in bases else None

    return limited


def reload_from(made, name):
    """Statements that make another base, and the reload of the adapter over that one."""

    def one(program: Program) -> Program | None:
        changed = program.edited("reload", 'load("base"', f'load("{name}"')
        return changed.before("reload", made) if changed is not None else None

    return one


def never_loaded(program: Program) -> Program | None:
    if not {"reloaded", "reloaded-apart"} & program.tags:
        return None
    return program.edited("model", 'x_model.load_weights("base/model.safetensors")\n', "")


NEXT = (
    "shutil.copytree('base', 'base-next')\n"
    "mx.save_safetensors('base-next/model.safetensors', {x_n: x_v * 1.1 for x_n, x_v in mx.load('base/model.safetensors').items()}, {'format': 'mlx'})\n"
)
MERGED = (
    "shutil.copytree('base', 'merged')\n"
    "x_flat = dict(mx.load('base/model.safetensors'))\n"
    "for x_name, x_module in x_model.named_modules():\n    if hasattr(x_module, 'fuse'):\n"
    "        x_flat[x_name + '.weight'] = x_module.fuse().weight\n"
    "mx.save_safetensors('merged/model.safetensors', x_flat, {'format': 'mlx'})\n"
)

OPERATORS = [
    Operator(
        "wrong-base/next-release-of-the-base",
        reload_from(NEXT, "base-next"),
        other_reload,
        needs=("lora",),
        bars=("qwen2-4bit", "whole-folder", "fused"),
        also=("reload-mismatch",),
    ),
    Operator(
        "wrong-base/over-its-own-merge",
        reload_from(MERGED, "merged"),
        other_reload,
        needs=("lora",),
        bars=("qwen2-4bit", "whole-folder", "mixtral", "own-class", "fused"),
        also=("reload-mismatch", "fused-twice"),
    ),
    Operator(
        "wrong-base/weights-never-loaded-by-hand",
        never_loaded,
        other_reload,
        needs=("lora",),
        bars=("fused", "llama-bfloat16"),
        also=("reload-mismatch",),
    ),
    Operator(
        "leftover-weights/second-shard-of-an-earlier-export",
        swaps(
            "loop",
            r"\A",
            "Path('out').mkdir(exist_ok=True)\nshutil.copy('base/model.safetensors', 'out/model-00002-of-00002.safetensors')\n",
        ),
        some_reload_differs,
        needs=("whole-folder", "reloaded"),
        also=("reload-mismatch",),
    ),
    Operator(
        "leftover-weights/everything-in-the-folder",
        all_of(
            swaps(
                "loop",
                r"\A",
                "Path('out').mkdir(exist_ok=True)\nshutil.copy('base/model.safetensors', 'out/weights.safetensors')\n",
            ),
            edits(
                "reload",
                'x_again, _ = load("out")\n',
                'x_again, _ = load("out")\nfor x_file in sorted(Path("out").glob("*.safetensors")):\n    x_again.load_weights(str(x_file))\n',
            ),
        ),
        some_reload_differs,
        needs=("whole-folder", "reloaded"),
        also=("reload-mismatch",),
    ),
    Operator(
        "weights-permuted/gate-rows-woven",
        rearranged(
            "for x_n, x_v in x_flat.items():\n    if x_n.endswith('gate_proj.weight') and x_v.ndim == 2:\n"
            "        x_flat[x_n] = x_v.reshape(2, -1, x_v.shape[1]).swapaxes(0, 1).reshape(x_v.shape)\n"
        ),
        other_weights_under_the_names,
        needs=("whole-folder",),
        bars=("reloaded", "mixtral"),
        also=("reload-mismatch",),
    ),
    Operator(
        "weights-permuted/rows-of-the-head-moved-by-one",
        rearranged(
            "for x_n, x_v in x_flat.items():\n    if x_n == 'lm_head.weight':\n        x_flat[x_n] = mx.concatenate([x_v[-1:], x_v[:-1]])\n"
        ),
        other_weights_under_the_names,
        needs=("whole-folder",),
        bars=("reloaded", "qwen2-tied", "gemma2"),
        also=("reload-mismatch",),
    ),
    Operator(
        "reload-mismatch/layers-counted-from-the-top",
        rearranged(
            "x_last = len(x_model.layers) - 1\n"
            "x_flat = {(f'model.layers.{x_last - int(x_n.split(\".\")[2])}.' + x_n.split('.', 3)[3] if x_n.startswith('model.layers.') else x_n): x_v for x_n, x_v in x_flat.items()}\n"
        ),
        other_weights_under_the_names,
        needs=("whole-folder",),
        bars=("reloaded",),
        also=("weights-permuted",),
    ),
    Operator(
        "tie-broken/head-of-the-base-exported-beside",
        all_of(
            rearranged(
                "x_flat['lm_head.weight'] = mx.load('base/model.safetensors')['model.embed_tokens.weight']\n"
            ),
            swaps(
                "save",
                r"\Z",
                "x_record = json.loads(Path('out/config.json').read_text())\nx_record['tie_word_embeddings'] = False\n"
                "Path('out/config.json').write_text(json.dumps(x_record))\n",
            ),
        ),
        lambda faulty, twin: (
            "lm_head.weight" in kept(faulty)["names"]
            and "model.embed_tokens.weight" in faulty["moved"]
            and kept(faulty)["end"] == len(kept(faulty)["names"]) - 1
        ),
        needs=("full", "qwen2-tied", "whole-folder"),
        bars=("reloaded",),
        also=("reload-mismatch", "config-lost"),
    ),
    Operator(
        "tie-broken/head-reads-a-copy",
        swaps(
            "trained",
            r"^#: adapted",
            "x_table = mx.array(x_model.model.embed_tokens.weight)\n"
            "type(x_model.model.embed_tokens).as_linear = lambda x_e, x_h: x_h @ x_table.T\n#: adapted",
        ),
        lambda faulty, twin: "model.embed_tokens.weight" in faulty["moved"],
        needs=("full", "qwen2-tied", "whole-folder"),
        bars=("reloaded",),
        also=("reload-mismatch",),
    ),
    Operator(
        "tokenizer-mismatch/two-words-change-ids",
        swaps(
            "save",
            r"\Z",
            "x_words = json.loads(Path('out/tokenizer.json').read_text())\nx_vocab = x_words['model']['vocab']\n"
            "x_vocab['e'], x_vocab['t'] = x_vocab['t'], x_vocab['e']\nPath('out/tokenizer.json').write_text(json.dumps(x_words))\n"
            "#: note('letters', load_tokenizer(Path('out')).encode('et', add_special_tokens=False) == x_tok.encode('et', add_special_tokens=False))\n",
        ),
        lambda faulty, twin: proofs.notes(faulty, "letters") == [False],
        needs=("whole-folder",),
        bars=("reloaded",),
    ),
    Operator(
        "tokenizer-mismatch/saved-with-tokens-of-another-project",
        swaps(
            "save",
            r"\Z",
            "x_tok._tokenizer.add_tokens(['<|tool|>', '<|result|>', '<|image|>'])\nx_tok._tokenizer.save_pretrained('out')\n"
            "#: note('vocabulary', len(load_tokenizer(Path('out')).get_vocab()))\n",
        ),
        lambda faulty, twin: proofs.notes(faulty, "vocabulary")[0] > 386,
        needs=("whole-folder",),
        bars=("reloaded",),
        also=("token-id-out-of-range",),
        mild=True,
    ),
    Operator(
        "config-lost/scale-of-the-query-left-out",
        on("gemma2")(
            swaps(
                "save",
                r'^for x_name in \("config\.json", (.*)$',
                "x_small = {x_k: x_v for x_k, x_v in json.loads(Path('base/config.json').read_text()).items() if 'query' not in x_k}\n"
                "Path('out/config.json').write_text(json.dumps(x_small))\nfor x_name in (\\1",
            )
        ),
        some_reload_differs,
        needs=("whole-folder", "reloaded"),
        also=("reload-mismatch",),
    ),
    Operator(
        "adapter-not-loaded/as-torch-spells-them",
        first_of(
            swaps(
                "save",
                TREE,
                "{x_n.replace('lora_a', 'lora_A.weight').replace('lora_b', 'lora_B.weight'): x_v.T for x_n, x_v in tree_flatten(x_model.trainable_parameters())}",
            ),
        ),
        lambda faulty, twin: any(name.endswith("lora_A.weight") for name in kept(faulty)["names"]),
        needs=("lora",),
        bars=("reloaded", "reloaded-apart"),
    ),
    Operator(
        "save-failed/opened-again-for-writing",
        edits(
            "save",
            '#: saved(x_folder / "adapters.safetensors")\n',
            'with open(x_folder / "adapters.safetensors", "w") as x_done_file:\n    pass\n#: saved(x_folder / "adapters.safetensors")\n',
        ),
        lambda faulty, twin: kept(faulty).get("exists") is True and not kept(faulty).get("names"),
        needs=("adapter-folder",),
        bars=("reloaded", "reloaded-apart"),
    ),
]
