"""Healthy runs that look odd in their losses, files or answers: each must raise no alarm."""

# ruff: noqa: E501  (swaps are texts as they stand)

from tests.zoo.zoo import Case

TAUGHT = {"taught": True}
LLAMA = {"model_type": "llama", "taught": True}
TIED = {"taught": True, "tied": True}
FOUR = {"bits": 4, "taught": True}
WHOLE = (
    "padding-in-loss", "prompt-in-loss", "labels-not-shifted", "labels-shifted-twice", "end-never-trained",
    "answers-truncated", "all-tokens-masked", "ignore-index-as-token", "token-id-out-of-range", "same-batch-repeated",
)  # fmt: skip
LOSS = (*WHOLE, "mask-off-by-one")  # of rows with a masked prompt
ASKED = (
    "template-mismatch",
    "dropout-in-generation",
    "stop-token-missing",
    "stale-model-in-generation",
    "generation-collapse",
)
SAVED = (
    "saved-untrained",
    "saved-before-last-update",
    "save-failed",
    "wrong-base",
    "reload-mismatch",
    "adapter-not-loaded",
    "adapter-incomplete",
)

CASES = [
    Case(
        "healthy-adam-first-step", "widened", evaluated=(*WHOLE, *ASKED, "tokenizer-mismatch"), model=TAUGHT
    ),
    Case(
        "healthy-dropout-in-training",
        "eager",
        evaluated=(*WHOLE, *ASKED, "stale-compiled-function", "compile-random-frozen"),
        model=TAUGHT,
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
    Case(
        "healthy-short-answers",
        "collator",
        swaps=(
            (
                "    ids = tokenizer.apply_chat_template(messages, return_dict=False)\n",
                '    messages = [messages[0], {"role": "assistant", "content": "Arr!"}]\n    ids = tokenizer.apply_chat_template(messages, return_dict=False)\n',
            ),
        ),
        evaluated=(*LOSS, *ASKED),
        model=TAUGHT,
    ),
    Case("healthy-prompt-in-loss-on-purpose", "chatset", evaluated=(*WHOLE, *ASKED), model=LLAMA),
    Case(
        "healthy-warm-up",
        "collator",
        swaps=(("learning_rate=2e-3, weight", "learning_rate=optim.linear_schedule(0.0, 2e-3, 20), weight"),),
        evaluated=(*LOSS, *ASKED),
        model=TIED,
    ),
    Case(
        "healthy-continued",
        "continued",
        evaluated=(*LOSS, *ASKED, "saved-untrained", "wrong-base"),
        model=TAUGHT,
    ),
    Case(
        "healthy-noise",
        "collator",
        swaps=(
            (
                '    logits = model(batch["input_ids"][:, :-1])\n',
                '    ids = batch["input_ids"][:, :-1]\n    vectors = model.model.embed_tokens(ids)\n'
                "    vectors = vectors + 0.01 * mx.random.uniform(-1, 1, vectors.shape)\n    logits = model(ids, input_embeddings=vectors)\n",
            ),
        ),
        evaluated=(*LOSS, *ASKED),
        model=LLAMA,
    ),
    Case(
        "healthy-other-seed",
        "collator",
        swaps=(("mx.random.seed(7)", "mx.random.seed(70)"), ("default_rng(7)", "default_rng(70)")),
        evaluated=(*LOSS, *ASKED),
        model=LLAMA,
    ),
    Case(
        "healthy-preference",
        "preference",
        evaluated=("reference-is-policy", "padding-in-loss", *ASKED),
        model=TAUGHT,
    ),
    Case(
        "healthy-preference-precomputed",
        "margin",
        evaluated=("reference-is-policy", "padding-in-loss", *ASKED),
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
    Case("healthy-average", "average", evaluated=(*WHOLE, *ASKED, "saved-untrained"), model=TAUGHT),
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
    Case("healthy-checkpoints", "keeper", evaluated=(*WHOLE, *ASKED, *SAVED), model=LLAMA),
    Case("healthy-command-masked", "lora_cli", evaluated=LOSS, model=LLAMA),
    Case("healthy-held-out", "tuner", evaluated=(*LOSS, *ASKED), model=TIED),
    Case(
        "healthy-begin-token",
        "bosrows",
        evaluated=(*WHOLE, *ASKED, "double-bos"),
        model={"taught": True, "begin": True},
    ),
    Case(
        "healthy-roundtrip",
        "roundtrip",
        evaluated=(*LOSS, *ASKED, *SAVED),
        model={"taught": True, "dtype": "bfloat16"},
    ),
]
