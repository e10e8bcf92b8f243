"""What is saved, loaded and fused is not what was trained."""

from tests.zoo.evaluated import ASKED, LOSS, SAVED, WHOLE
from tests.zoo.zoo import Case

TAUGHT = {"taught": True}

LLAMA = {"model_type": "llama", "taught": True}

TIED = {"taught": True, "tied": True}

FOUR = {"bits": 4, "taught": True}

WORSE = ("output-unchanged", "generation-collapse", "score-dropped")

FILE = "file = mx.load('adapters/adapters.safetensors')\nlive = dict(tree_flatten(model.parameters()))\n"

LAST = "file = mx.load('checkpoints/last/adapters.safetensors')\nlive = dict(tree_flatten(session.model.parameters()))\n"

# how often the update stands in what was written: slope of (written - base) on scale * A B, one projection for all of a layer's weights
TIMES = """
base, written = mx.load("model/model.safetensors"), now
def whole(weights, name):
    if name + ".scales" not in weights:
        return weights[name + ".weight"].astype(mx.float32)
    return mx.dequantize(weights[name + ".weight"], weights[name + ".scales"], weights[name + ".biases"], group_size=32, bits=4)
dot = square = 0.0
for name, a in mx.load("adapters/adapters.safetensors").items():
    if name.endswith(".lora_a"):
        b = mx.load("adapters/adapters.safetensors")[name[:-1] + "b"]
        update = scale * (a @ b).T
        dot += ((whole(written, name[:-7]) - whole(base, name[:-7])) * update).sum().item()
        square += (update * update).sum().item()
times = dot / square
"""

CASES = [
    Case(
        "unread-plain",
        "roundtrip",
        ("adapter-not-loaded",),
        (
            (
                "again, words = load(BASE, adapter_path=str(OUT))",
                'again, words = load(BASE)\nagain.load_weights(str(OUT / "adapters.safetensors"), strict=False)',
            ),
        ),
        FILE + "fault = not set(file) & set(dict(tree_flatten(again.parameters())))",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "unread-prefix",
        "keeper",
        ("adapter-not-loaded",),
        (
            (
                "return {\n            name: value\n",
                'return {\n            "base_model." + name: value\n',
            ),
        ),
        LAST + "fault = not set(file) & set(dict(tree_flatten(model.parameters())))",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "half-filtered",
        "keeper",
        ("adapter-incomplete",),
        (
            (
                'name.endswith(("lora_a", "lora_b", ".m"))',
                '"layers.1." in name and name.endswith(("lora_a", "lora_b", ".m"))',
            ),
        ),
        LAST + "fault = len(file) * 2 == sum(name.endswith(('lora_a', 'lora_b')) for name in live)",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "half-one-factor",
        "roundtrip",
        ("adapter-incomplete",),
        (
            (
                "weights = dict(tree_flatten(model.trainable_parameters()))",
                'weights = {k: v for k, v in tree_flatten(model.trainable_parameters()) if k.endswith("lora_a")}',
            ),
        ),
        FILE + "fault = not any(name.endswith('lora_b') for name in file)",
        WORSE,
        model=TIED,
    ),
    Case(
        "early-functions",
        "roundtrip",
        ("saved-untrained",),
        (
            (
                "gradient = nn.value_and_grad(model, loss)\n",
                "gradient = nn.value_and_grad(model, loss)\nwrite(model)\n",
            ),
            ("model.eval()\nwrite(model)\n", "model.eval()\n"),
        ),
        FILE + "fault = all(float(mx.abs(v).max()) == 0 for k, v in file.items() if k.endswith('lora_b'))",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "early-remembered",
        "keeper",
        ("saved-untrained",),
        (
            ("        self.written = []", "        self.written, self.held = [], {}"),
            (
                "        return {\n            name: value\n",
                "        self.held = self.held or {\n            name: value\n",
            ),
            (
                '(("lora_a", "lora_b", ".m"))\n        }',
                '(("lora_a", "lora_b", ".m"))\n        }\n        return self.held',
            ),
            (
                "        mx.eval(self.model.parameters())\n\n",
                "        mx.eval(self.model.parameters())\n        print(len(self.checkpoints.collect(self.model)), 'tensors')\n\n",
            ),
        ),
        LAST + "fault = all(float(mx.abs(v).max()) == 0 for k, v in file.items() if k.endswith('lora_b'))",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "midway-functions",
        "roundtrip",
        ("saved-before-last-update",),
        (
            (
                '        print(step, f"{value.item():.3f}")\n',
                '        print(step, f"{value.item():.3f}")\n    if step == 24:\n        write(model)\n',
            ),
            ("model.eval()\nwrite(model)\n", "model.eval()\n"),
        ),
        FILE
        + "b = [k for k in file if k.endswith('lora_b')]\nfault = all(float(mx.abs(file[k]).max()) > 0 and not mx.array_equal(file[k], live[k]).item() for k in b)",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "midway-class",
        "keeper",
        ("saved-before-last-update",),
        (
            ('return self.checkpoints.store(self.model, "last")', "return self.checkpoints.written[-1]"),
            ("steps=24, every=8", "steps=30, every=8"),
        ),
        "file = mx.load(checkpoints.written[-1] + '/adapters.safetensors')\nlive = dict(tree_flatten(session.model.parameters()))\nfault = not all(mx.array_equal(v, live[k]).item() for k, v in file.items())",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "empty-file",
        "roundtrip",
        ("save-failed",),
        (
            (
                "weights = dict(tree_flatten(model.trainable_parameters()))",
                'weights = {k: v for k, v in model.trainable_parameters().items() if "lora" in k}',
            ),
        ),
        "fault = not mx.load('adapters/adapters.safetensors')",
        (*WORSE, "adapter-incomplete"),
        model=TAUGHT,
    ),
    Case(
        "raised-and-caught",
        "chatset",
        ("save-failed",),
        (
            (
                "        mx.save_safetensors(path, dict(tree_flatten(self.model.trainable_parameters())))",
                "        try:\n            mx.save_safetensors(path, self.model.trainable_parameters())\n        except Exception as problem:\n            print(type(problem).__name__)",
            ),
        ),
        "import os\nfault = not os.path.exists('chat.safetensors') or not mx.load('chat.safetensors')",
        ("error-swallowed",),
        model=LLAMA,
    ),
    Case(
        "other-release",
        "roundtrip",
        ("wrong-base",),
        (
            (
                "again, words = load(BASE, adapter_path=str(OUT))",
                "other, words, config = load(BASE, return_config=True)\nother.lm_head.weight = other.lm_head.weight[::-1] * 0.7\n"
                'save("release", BASE, other, words, config)\nagain, words = load("release", adapter_path=str(OUT))',
            ),
            (
                "from mlx_lm.tuner.utils import linear_to_lora_layers\n",
                "from mlx_lm.tuner.utils import linear_to_lora_layers\nfrom mlx_lm.utils import save\n",
            ),
        ),
        "fault = not mx.array_equal(again.lm_head.weight, model.lm_head.weight).item()",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "other-in-memory",
        "keeper",
        ("wrong-base",),
        (
            (
                "        self.model.freeze()\n",
                "        self.model.update(tree_map(lambda value: value * 1.25, self.model.parameters()))\n        self.model.freeze()\n",
            ),
            ("from mlx.utils import tree_flatten\n", "from mlx.utils import tree_flatten, tree_map\n"),
        ),
        "fault = not mx.array_equal(model.model.norm.weight, session.model.model.norm.weight).item()",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "other-head",
        "fusion",
        ("reload-mismatch",),
        (
            (
                "merged, tokenizer, config, donate",
                'merged, tokenizer, {**config, "tie_word_embeddings": True}, donate',
            ),
        ),
        "row = mx.array([rows[0]])\nfault = not mx.allclose(merged(row), final(row), atol=1e-3).item()",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "scaled-file",
        "keeper",
        ("reload-mismatch",),
        (
            (
                "return {\n            name: value\n",
                'return {\n            name: value * 12.0 if name.endswith("lora_b") else value\n',
            ),
        ),
        LAST + "fault = not all(mx.array_equal(v, live[k]).item() for k, v in file.items())",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "fused-four",
        "merge4",
        ("fuse-lost-update",),
        (
            ("module.fuse(dequantize=True)", "module.fuse()"),
            (
                '        self.model = dequantize_model(self.model)\n        config = {key: value for key, value in self.config.items() if not key.startswith("quantization")}\n',
                "        config = dict(self.config)\n",
            ),
        ),
        "now = mx.load('merged/model.safetensors')\nscale = 4.0" + TIMES + "fault = times < 0.5",
        (*WORSE, "reload-mismatch"),
        model=FOUR,
    ),
    Case(
        "fused-fresh",
        "fusion",
        ("fuse-lost-update",),
        (
            (
                'merged, _ = load("model", adapter_path="adapters")',
                'merged, _ = load("model")\nlinear_to_lora_layers(merged, len(merged.layers), LORA)',
            ),
        ),
        "now = mx.load('fused/model.safetensors')\nscale = 10.0" + TIMES + "fault = times < 0.5",
        (*WORSE, "reload-mismatch", "stale-model-in-generation"),
        model=LLAMA,
    ),
    Case(
        "fused-inner",
        "fusion",
        ("fuse-lost-update",),
        (("(name, module.fuse())", "(name, module.linear)"),),
        "now = mx.load('fused/model.safetensors')\nscale = 10.0" + TIMES + "fault = times < 0.5",
        (*WORSE, "reload-mismatch", "stale-model-in-generation"),
        model=LLAMA,
    ),
    Case(
        "fused-weaker",
        "fusion",
        ("fuse-wrong",),
        (
            (
                "(name, module.fuse())",
                '(name, (setattr(module, "scale", 0.7 * module.scale), module.fuse())[1])',
            ),
        ),
        "now = mx.load('fused/model.safetensors')\nscale = 10.0" + TIMES + "fault = 0.5 < times < 0.9",
        (*WORSE, "lora-scale-mismatch", "reload-mismatch", "stale-model-in-generation"),
        model=LLAMA,
    ),
    Case(
        "fused-and-adapted",
        "fusion",
        ("fused-twice",),
        (('final, words = load("fused")', 'final, words = load("fused", adapter_path="adapters")'),),
        "now = dict(tree_flatten(fuse(final).parameters()))\nscale = 10.0" + TIMES + "fault = times > 1.5",
        (*WORSE, "wrong-base"),
        model=TAUGHT,
    ),
    Case(
        "fused-in-a-loop",
        "merge4",
        ("fused-twice",),
        (
            (
                "        merged = [(name, module.fuse(dequantize=True)) for name, module in layers]\n",
                "        for name, module in layers:\n            module.linear = module.fuse(dequantize=True)\n        merged = [(name, module.fuse(dequantize=True)) for name, module in layers]\n",
            ),
        ),
        "now = mx.load('merged/model.safetensors')\nscale = 4.0" + TIMES + "fault = times > 1.5",
        (*WORSE, "reload-mismatch"),
        model=FOUR,
    ),
    Case(
        "healthy-fused",
        "fusion",
        evaluated=(*WHOLE, *ASKED, *SAVED, "fuse-lost-update", "fused-twice"),
        model=LLAMA,
    ),
    Case(
        "healthy-fused-in-four-bits",
        "merge4",
        swaps=(
            ("module.fuse(dequantize=True)", "module.fuse()"),
            (
                '        self.model = dequantize_model(self.model)\n        config = {key: value for key, value in self.config.items() if not key.startswith("quantization")}\n',
                "        config = dict(self.config)\n",
            ),
            ("rate=5e-5", "rate=1e-3"),
        ),
        evaluated=(*WHOLE, "fuse-lost-update", "fused-twice"),
        model=FOUR,
    ),
    Case("healthy-dequantized", "merge4", evaluated=(*WHOLE, "fuse-lost-update", "fused-twice"), model=FOUR),
    Case(
        "healthy-sharded-and-padded-base",
        "widened",
        evaluated=(*WHOLE, "token-id-out-of-range", "tokenizer-mismatch"),
        model=LLAMA,
    ),
    Case("healthy-checkpoints", "keeper", evaluated=(*WHOLE, *ASKED, *SAVED), model=LLAMA),
    Case(
        "healthy-roundtrip",
        "roundtrip",
        evaluated=(*LOSS, *ASKED, *SAVED),
        model={"taught": True, "dtype": "bfloat16"},
    ),
    Case(
        "rotary-key-renamed",
        "full",
        ("config-lost",),
        (
            (
                '(args.out / "config.json").write_text(Path(args.model, "config.json").read_text())',
                'config = json.loads(Path(args.model, "config.json").read_text())\n'
                'config["rope_parameters"] = {"rope_type": "default", "base": config.pop("rope_theta")}\n'
                '(args.out / "config.json").write_text(json.dumps(config))',
            ),
        ),
        "ids = mx.array([examples[0][0]])\nfrom mlx_lm.utils import load_model\nagain = load_model(args.out)[0]\nfault = mx.abs(again(ids) - model(ids)).max().item() > 0.01",
        (*WORSE, "reload-mismatch"),
        model=TAUGHT,
    ),
    Case(
        "settings-left-out",
        "fusion",
        ("config-lost",),
        (
            (
                'save("fused", "model", merged, tokenizer, config, donate_model=False)',
                'config = {key: value for key, value in config.items() if not key.startswith("rope")}\n'
                'save("fused", "model", merged, tokenizer, config, donate_model=False)',
            ),
        ),
        "fault = final.layers[0].self_attn.rope.base != merged.layers[0].self_attn.rope.base",
        (*WORSE, "reload-mismatch", "stale-model-in-generation"),
        model=TAUGHT,
    ),
    Case(
        "old-shards",
        "fusion",
        ("leftover-weights",),
        (
            (
                'save("fused", "model", merged, tokenizer, config, donate_model=False)',
                'base = mx.load("model/model.safetensors")\n'
                'Path("fused").mkdir()\n'
                "half = dict(list(base.items())[: len(base) // 2])\n"
                "rest = {name: value for name, value in base.items() if name not in half}\n"
                'mx.save_safetensors("fused/model-00001-of-00002.safetensors", half, {"format": "mlx"})\n'
                'mx.save_safetensors("fused/model-00002-of-00002.safetensors", rest, {"format": "mlx"})\n'
                'save("fused", "model", merged, tokenizer, config, donate_model=False)',
            ),
        ),
        "from collections import Counter\n"
        "read = Counter(name for file in Path('fused').glob('model*.safetensors') for name in mx.load(str(file)))\n"
        "fault = max(read.values()) > 1",
        (
            *WORSE,
            "reload-mismatch",
            "stale-model-in-generation",
            "fuse-lost-update",
            "fuse-wrong",
            "fused-twice",
        ),
        model=TAUGHT,
    ),
    Case(
        "old-copy",
        "full",
        ("leftover-weights",),
        (
            (
                "args.out.mkdir(exist_ok=True)\n",
                "args.out.mkdir(exist_ok=True)\n"
                '(args.out / "model-before.safetensors").write_bytes(Path(args.model, "model.safetensors").read_bytes())\n',
            ),
        ),
        "from collections import Counter\n"
        "read = Counter(name for file in args.out.glob('model*.safetensors') for name in mx.load(str(file)))\n"
        "fault = max(read.values()) > 1",
        (*WORSE, "reload-mismatch"),
        model=TAUGHT,
    ),
    Case(
        "head-left-behind",
        "roundtrip",
        ("adapter-incomplete",),
        (
            (
                "gradient = nn.value_and_grad(model, loss)\n",
                "model.lm_head.unfreeze()\ngradient = nn.value_and_grad(model, loss)\n",
            ),
            (
                "weights = dict(tree_flatten(model.trainable_parameters()))",
                'weights = {k: v for k, v in tree_flatten(model.trainable_parameters()) if "lora" in k}',
            ),
        ),
        FILE
        + "fault = bool(model.lm_head.trainable_parameters()) and not any('lm_head' in name for name in file)",
        (*WORSE, "reload-mismatch", "base-not-frozen"),
        model=TAUGHT,
    ),
    Case(
        "fresh-conversion-saved",
        "roundtrip",
        ("saved-untrained",),
        (
            (
                "model.eval()\nwrite(model)\n",
                "model.eval()\nblank, _ = load(BASE)\nblank.freeze()\n"
                "linear_to_lora_layers(blank, len(blank.layers), LORA)\nwrite(blank)\n",
            ),
        ),
        FILE + "fault = all(float(mx.abs(v).max()) == 0 for k, v in file.items() if k.endswith('lora_b'))",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "rows-reordered",
        "roundtrip",
        ("weights-permuted",),
        (
            (
                "weights = dict(tree_flatten(model.trainable_parameters()))",
                'weights = {k: mx.contiguous(v[:, ::-1]) if k.endswith("q_proj.lora_b") else v for k, v in tree_flatten(model.trainable_parameters())}',
            ),
        ),
        FILE
        + "fault = any(not mx.array_equal(v, live[k]).item() and mx.array_equal(mx.sort(v.reshape(-1)), mx.sort(live[k].reshape(-1))).item() for k, v in file.items())",
        (*WORSE, "reload-mismatch"),
        model=TAUGHT,
    ),
]
