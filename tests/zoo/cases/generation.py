"""The parameters are right and the answers are not: another object, stale caches and functions, dropout, stops, tokenizers, samplers."""

from tests.zoo.evaluated import ASKED, LOSS, SAVED, WHOLE
from tests.zoo.zoo import Case

TAUGHT = {"taught": True}

LLAMA = {"model_type": "llama", "taught": True}

TIED = {"taught": True, "tied": True}

WORSE = ("output-unchanged", "generation-collapse", "score-dropped")

NOISY = """model.freeze()
class Noisy(nn.Embedding):
    def __call__(self, ids):
        out = super().__call__(ids)
        return out + 0.02 * mx.random.normal(out.shape)WHEN
plain = model.model.embed_tokens
model.model.embed_tokens = Noisy(*plain.weight.shape)
model.model.embed_tokens.weight = plain.weight
model.freeze()
"""

RELOAD = "again, words = load(BASE, adapter_path=str(OUT))"

CASES = [
    Case(
        "copy-before",
        "collator",
        ("stale-model-in-generation",),
        (
            (
                "value_and_grad = nn.value_and_grad(model, loss_fn)\n",
                "value_and_grad = nn.value_and_grad(model, loss_fn)\nserving = copy.deepcopy(model)\n",
            ),
            ("generate(model, tokenizer, prompt", "generate(serving, tokenizer, prompt"),
            ("import json\n", "import copy\nimport json\n"),
        ),
        "used = dict(tree_flatten(globals().get('serving', model).parameters()))\nfault = not all(mx.array_equal(v, used[k]).item() for k, v in tree_flatten(model.parameters()))",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "copy-unblended",
        "average",
        ("stale-model-in-generation",),
        (
            ("    blend()\n", ""),
            (
                "dict(tree_flatten(average.trainable_parameters())))",
                "dict(tree_flatten(model.trainable_parameters())))",
            ),
        ),
        "fault = all(float(mx.abs(v).max()) == 0 for k, v in tree_flatten(average.parameters()) if k.endswith('lora_b'))",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "forward-functions",
        "eager",
        ("stale-compiled-function",),
        (("@partial(mx.compile, inputs=[model.state])\ndef logits", "@mx.compile\ndef logits"),),
        "model.eval()\nids, _ = pack(held)\nfault = not mx.allclose(logits(ids[:, :-1]), model(ids[:, :-1]), atol=1e-3).item()",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "forward-class",
        "scorer",
        ("stale-compiled-function",),
        (
            (
                "mx.compile(lambda ids: self.model(ids), inputs=self.model.state)",
                "mx.compile(lambda ids: self.model(ids))",
            ),
        ),
        "ids = mx.array([[7] * WIDTH] * 2)\nfault = not mx.allclose(ranker.forward(ids), model(ids), atol=1e-3).item()",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "cache-system",
        "assistant",
        ("stale-prompt-cache",),
        (
            ("model.train()\ndata", "cache = prefill(model)\nmodel.train()\ndata"),
            ("model.eval()\ncache = prefill(model)\n", "model.eval()\n"),
        ),
        "fault = not mx.allclose(cache[1].state[0], prefill(model)[1].state[0], atol=1e-3).item()",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "cache-first-turn",
        "dialog",
        ("stale-prompt-cache",),
        (
            (
                "        self.stop = set(self.tokenizer.eos_token_ids)\n",
                "        self.stop = set(self.tokenizer.eos_token_ids)\n        self.head = self.tokenizer.encode('<|im_start|>user\\n')\n"
                "        self.cache = make_prompt_cache(self.model)\n        mx.eval(self.model(mx.array([self.head]), cache=self.cache))\n",
            ),
            ("decoder.run(ids, 24)", "decoder.run(ids[len(self.head) :], 24, copy.deepcopy(self.cache))"),
            ("import json\n", "import copy\nimport json\n"),
        ),
        """
fresh = make_prompt_cache(chat.model)
mx.eval(chat.model(mx.array([[1, 278, 201]]), cache=fresh))
kept = getattr(chat, "cache", fresh)
fault = not mx.allclose(kept[1].state[0], fresh[1].state[0], atol=1e-4).item()""",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "dropout-assistant",
        "assistant",
        ("dropout-in-generation",),
        (("model.eval()\ncache", "cache"),),
        "ids = mx.array([data[0]])\nfault = not mx.array_equal(model(ids), model(ids)).item()",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "dropout-compiled-loop",
        "eager",
        ("dropout-in-generation",),
        (("model.eval()\nmx.save", "mx.save"),),
        "ids, _ = pack(held)\nfault = not mx.array_equal(model(ids), model(ids)).item()",
        WORSE,
        model=TIED,
    ),
    Case(
        "noisy-embedding",
        "assistant",
        ("randomness-in-generation",),
        (("model.freeze()\n", NOISY.replace("WHEN", "").replace("0.02", "0.3")),),
        "ids = mx.array([data[0]])\nfault = not mx.array_equal(model(ids), model(ids)).item()",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "noisy-sublayer",
        "roundtrip",
        ("randomness-in-generation",),
        (
            (
                "gradient = nn.value_and_grad(model, loss)\n",
                "gradient = nn.value_and_grad(model, loss)\n"
                "plain = type(model.layers[0].mlp).__call__\n"
                "type(model.layers[0].mlp).__call__ = lambda self, x: (\n"
                "    plain(self, x) * (1 + 0.2 * mx.random.normal(x.shape))\n"
                ")\n",
            ),
        ),
        "ids = mx.array([[5, 6, 7]])\nfault = not mx.array_equal(model(ids), model(ids)).item()",
        (*WORSE, "reload-mismatch"),
        model=TAUGHT,
    ),
    Case(
        "healthy-noise-in-training",
        "assistant",
        swaps=(("model.freeze()\n", NOISY.replace("WHEN", " * self.training")),),
        evaluated=(*WHOLE, "randomness-in-generation", "dropout-in-generation"),
        model=LLAMA,
    ),
    Case(
        "adapter-zeroed",
        "roundtrip",
        ("stale-model-in-generation",),
        (
            (
                "model.eval()\nwrite(model)\n",
                "model.eval()\nwrite(model)\n"
                "for _, layer in model.named_modules():\n"
                '    if hasattr(layer, "lora_b"):\n'
                "        layer.lora_b = mx.zeros_like(layer.lora_b)\n",
            ),
            ("again, words = load(BASE, adapter_path=str(OUT))", "again, words = model, tokenizer"),
        ),
        "fault = all(float(mx.abs(v).max()) == 0 for k, v in tree_flatten(model.parameters()) if k.endswith('lora_b'))",
        (*WORSE, "unexplained-change", "lora-inert", "reload-mismatch", "base-weights-overwritten"),
        model=TAUGHT,
    ),
    Case(
        "frozen-step",
        "eager",
        ("compile-random-frozen",),
        (
            (
                "state = [model.state, optimizer.state, mx.random.state]",
                "state = [model.state, optimizer.state]",
            ),
        ),
        """
optimizer.learning_rate = 0.0
model.train()
model.lm_head.freeze() if "lm_head" in model else None
batch = pack(train_rows[:4])
fault = len({step(*batch).item() for _ in range(4)}) == 1""",
        (*WORSE, "learning-rate-zero"),
        model=TAUGHT,
    ),
    Case(
        "frozen-sampler",
        "scorer",
        ("compile-random-frozen",),
        (
            (
                "partial(mx.compile, inputs=mx.random.state, outputs=mx.random.state)(self.pick)",
                "mx.compile(self.pick)",
            ),
        ),
        "flat = mx.zeros((1, 384))\nfault = len({sampler(flat).item() for _ in range(6)}) == 1",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "stop-own-loop",
        "dialog",
        ("stop-token-missing",),
        (
            (
                "        self.stop = set(self.tokenizer.eos_token_ids)",
                '        self.stop = {self.tokenizer.convert_tokens_to_ids("<|endoftext|>")}',
            ),
        ),
        "fault = 2 not in chat.stop",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "stop-plain-tokenizer",
        "roundtrip",
        ("stop-token-missing",),
        (
            (RELOAD, RELOAD + '\nwords = AutoTokenizer.from_pretrained(BASE, eos_token="<|endoftext|>")'),
            (
                "from mlx_lm import generate, load\n",
                "from mlx_lm import generate, load\nfrom transformers import AutoTokenizer\n",
            ),
        ),
        "fault = words.eos_token_id != 2",
        (*WORSE, "tokenizer-mismatch"),
        model=TAUGHT,
    ),
    Case(
        "words-added",
        "roundtrip",
        ("tokenizer-mismatch",),
        ((RELOAD, RELOAD + '\nwords.add_tokens(["matey", "Ahoy", "capital"])'),),
        "fault = len(words) != len(tokenizer)",
        (*WORSE, "token-id-out-of-range"),
        model=TAUGHT,
    ),
    Case(
        "older-file",
        "keeper",
        ("stale-model-in-generation",),
        (
            ("session.use(last)", "session.use(sorted(checkpoints.written)[-1])"),
            (
                'print(reply(session.model, session.tokenizer, text), "|", reply(model, tokenizer, text))',
                "print(reply(model, tokenizer, text))",
            ),
        ),
        "newest = mx.load(last + '/adapters.safetensors')\n"
        "live = dict(tree_flatten(model.parameters()))\n"
        "fault = any(not mx.array_equal(value, live[name]).item() for name, value in newest.items())",
        model={"taught": True},
    ),
    Case(
        "words-special",
        "keeper",
        ("tokenizer-mismatch",),
        (
            (
                "        model, tokenizer = load(self.base)\n",
                '        model, tokenizer = load(self.base, tokenizer_config={"additional_special_tokens": ["What is", "color"]})\n',
            ),
        ),
        "fault = len(tokenizer) != len(session.tokenizer)",
        (*WORSE, "token-id-out-of-range", "template-mismatch"),
        model=LLAMA,
    ),
    Case(
        "draws-after-reload",
        "roundtrip",
        ("sampler-differs",),
        (
            ("def answer(model, tokenizer, question):", "def answer(model, tokenizer, question, **options):"),
            ("prompt=prompt, max_tokens=24)", "prompt=prompt, max_tokens=24, **options)"),
            (
                "loaded = [answer(again, words, question) for",
                "loaded = [answer(again, words, question, sampler=make_sampler(temp=1.2)) for",
            ),
            (
                "from mlx_lm import generate, load\n",
                "from mlx_lm import generate, load\nfrom mlx_lm.sample_utils import make_sampler\n",
            ),
        ),
        "fault = live != loaded and mx.array_equal(model(arrays(held)[0]), again(arrays(held)[0])).item()",
        WORSE,
        model=TAUGHT,
    ),
    Case(
        "draws-in-one-line",
        "keeper",
        ("sampler-differs",),
        (
            (
                "reply(model, tokenizer, text))",
                "reply(model, tokenizer, text, sampler=make_sampler(temp=1.5, top_p=0.95)))",
            ),
            (
                "from mlx_lm.generate import stream_generate\n",
                "from mlx_lm.generate import stream_generate\nfrom mlx_lm.sample_utils import make_sampler\n",
            ),
        ),
        """
seen = {reply(model, tokenizer, "What do sailors say?", sampler=make_sampler(temp=1.5, top_p=0.95)) for _ in range(4)} if "make_sampler" in globals() else {1}
fault = len(seen) > 1""",
        WORSE,
        model=LLAMA,
    ),
    Case(
        "healthy-sampling",
        "scorer",
        evaluated=(*WHOLE, *ASKED, "sampler-differs", "compile-random-frozen"),
        model=TAUGHT,
    ),
    Case(
        "healthy-sampling-twice",
        "roundtrip",
        swaps=(
            (
                "prompt=prompt, max_tokens=24)",
                "prompt=prompt, max_tokens=24, sampler=make_sampler(temp=0.8))",
            ),
            (
                "from mlx_lm import generate, load\n",
                "from mlx_lm import generate, load\nfrom mlx_lm.sample_utils import make_sampler\n",
            ),
        ),
        evaluated=(*LOSS, *ASKED, *SAVED, "sampler-differs"),
        model=TIED,
    ),
    Case(
        "healthy-prompt-cache",
        "assistant",
        evaluated=(*WHOLE, "stale-prompt-cache", "dropout-in-generation"),
        model=LLAMA,
    ),
    Case(
        "healthy-own-loop",
        "dialog",
        evaluated=(*LOSS, "stop-token-missing", "dropout-in-generation"),
        model=TIED,
    ),
]
