"""Groups of detectors that a healthy variation must have evaluated and clean."""

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

WHOLE = (
    "padding-in-loss",
    "prompt-in-loss",
    "labels-not-shifted",
    "labels-shifted-twice",
    "end-never-trained",
    "all-tokens-masked",
    "ignore-index-as-token",
    "token-id-out-of-range",
    "same-batch-repeated",
)

LOSS = (*WHOLE, "mask-off-by-one")

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
