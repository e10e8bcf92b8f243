"""Healthy runs that look odd: each is a program as it stands, or varied on purpose, that must raise no alarm."""

from tests.zoo.zoo import Case

TAUGHT = {"taught": True}
LLAMA = {"model_type": "llama", "taught": True}
ADAPTER = ("lora-missing", "lora-partial", "lora-nested", "lora-scale-mismatch", "lora-inert")
SET = (
    "base-not-frozen",
    "frozen-but-changed",
    "nothing-trainable",
    "adapter-partly-frozen",
    "base-weights-overwritten",
)
STEPPED = (
    "optimizer-never-stepped",
    "wrong-model-updated",
    "learning-rate-zero",
    "gradients-zero",
    "parameters-unchanged",
)
FINITE = ("weights-not-finite", "update-too-large", "uniform-decay", "dtype-drift")
ALL = (*ADAPTER, *SET, *STEPPED, *FINITE)
FULL = ("nothing-trainable", *STEPPED, "weights-not-finite", "update-too-large", "dtype-drift")
PART = ("frozen-but-changed", "uniform-decay", *FULL)

CASES = [
    Case("healthy-step-0", "look", evaluated=("lora-partial", "lora-starts-nonzero"), model=TAUGHT),
    Case(
        "healthy-one-step",
        "loop",
        swaps=(("STEPS = 24", "STEPS = 1"),),
        evaluated=(*SET, *STEPPED),
        model=TAUGHT,
    ),
    Case(
        "healthy-dora",
        "loop",
        swaps=(
            ("LAYERS, LORA)\nnames", "LAYERS, LORA, use_dora=True)\nnames"),
            ('"fine_tune_type": "lora"', '"fine_tune_type": "dora"'),
            ('if "lora_" in name}', 'if "lora_" in name or name.endswith(".m")}'),
        ),
        evaluated=ALL,
        model=TAUGHT,
    ),
    Case(
        "healthy-rank-1",
        "stages",
        swaps=(("rank=6, alpha=24", "rank=1, alpha=4"),),
        evaluated=ALL,
        model=LLAMA,
    ),
    Case(
        "healthy-mixed-ranks",
        "classes",
        swaps=(
            (
                "LoRALinear.from_base(module, r=s.rank,",
                "LoRALinear.from_base(module, r=s.rank * (1 + ('v' in name)),",
            ),
            (
                '"rank": s.rank,\n',
                '"rank": s.rank,\n            "ranks": {"v_proj": 2 * s.rank},\n',
            ),
        ),
        allowed=("adapter-not-loaded", "save-failed", "reload-mismatch"),
        evaluated=("lora-missing", "lora-nested", *SET, *STEPPED, *FINITE),
        model=LLAMA,
    ),
    Case(
        "healthy-mlp-last-layer",
        "api",
        swaps=(
            (
                '"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"',
                '"mlp.up_proj", "mlp.down_proj"',
            ),
            ('"num_layers": 2', '"num_layers": 1'),
        ),
        evaluated=ALL,
        model=LLAMA,
    ),
    Case("healthy-loop-all-linear", "loop", evaluated=ALL, model={"model_type": "phi3", "taught": True}),
    Case("healthy-full", "full", evaluated=FULL, model={"model_type": "llama", "taught": True}),
    Case(
        "healthy-full-command",
        "command",
        swaps=(
            ("lora.yaml", "fine_tune_type: lora", "fine_tune_type: full"),
            ("lora.yaml", "learning_rate: 1e-3", "learning_rate: 1e-4"),
        ),
        evaluated=FULL,
        model=TAUGHT,
    ),
    Case("healthy-partial-full", "half", evaluated=PART, model={"taught": True}),
    Case(
        "healthy-qlora",
        "qlora",
        evaluated=(*ALL, "quantization-parameters-changed"),
        model={"bits": 4, "taught": True},
    ),
    Case("healthy-tied", "full", evaluated=(*FULL, "tie-broken"), model={"tied": True, "taught": True}),
    Case(
        "healthy-adapted-embedding",
        "loop",
        swaps=(
            (
                '"dropout": 0.0}\nLAYERS',
                '"dropout": 0.0, "keys": ["self_attn.q_proj", "model.embed_tokens"]}\nLAYERS',
            ),
        ),
        evaluated=ALL,
        model=TAUGHT,
    ),
    Case(
        "healthy-decay",
        "full",
        swaps=(("weight_decay=0.0", "weight_decay=0.1"),),
        evaluated=FULL,
        model=TAUGHT,
    ),
    Case(
        "healthy-accumulated",
        "accumulate",
        evaluated=("accumulation-mismatch", "schedule-in-wrong-unit", *ALL),
        model=TAUGHT,
    ),
    Case("healthy-mixed", "mixed", evaluated=("accumulation-mismatch", "term-detached", *ALL), model=LLAMA),
    Case(
        "healthy-accumulated-command",
        "command",
        swaps=(("lora.yaml", "batch_size: 2\n", "batch_size: 2\ngrad_accumulation_steps: 4\n"),),
        evaluated=("accumulation-mismatch", *ALL),
        model=LLAMA,
    ),
    Case(
        "healthy-fine-rate",
        "half",
        swaps=(('"learning_rate": 5e-4', '"learning_rate": 2e-6'),),
        allowed=("update-lost-to-rounding",),
        evaluated=("nothing-trainable", "optimizer-never-stepped", "gradients-zero", "dtype-drift"),
        model={"taught": True, "dtype": "bfloat16"},
    ),
    Case("healthy-half", "half", evaluated=PART, model={"taught": True, "dtype": "bfloat16"}),
    Case("healthy-resume", "resume", evaluated=("optimizer-restarted", *ALL), model=LLAMA),
    Case(
        "healthy-stages",
        "stages",
        evaluated=("optimizer-restarted", *ALL),
        model={"tied": True, "taught": True},
    ),
    Case("healthy-pairs", "pairs", evaluated=("term-detached", *ALL), model=LLAMA),
    Case("healthy-scratch", "scratch", allowed=("full-weights-trained",), evaluated=FULL),
    Case(
        "healthy-handmade",
        "handmade",
        evaluated=(*SET, *STEPPED, "weights-not-finite", "uniform-decay", "dtype-drift"),
        model=LLAMA,
    ),
    Case(
        "healthy-pipeline",
        "pipeline",
        evaluated=("error-swallowed", *ALL),
        model={"tied": True, "taught": True},
    ),
    Case(
        "healthy-command",
        "command",
        evaluated=ALL,
        model={"model_type": "llama", "tied": True, "taught": True},
    ),
    Case(
        "healthy-compiled",
        "compiled",
        evaluated=("compile-state-not-captured", *ALL),
        model={"model_type": "phi3", "taught": True},
    ),
]
