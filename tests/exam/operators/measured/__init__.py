"""Operators that are only measured: whoever mends a detector does not look at them."""

READ: frozenset[str] = frozenset(
    {
        "accumulation-mismatch/only-the-last-part",
        "adapter-incomplete/resumed-from-one-layer",
        "adapter-not-loaded/as-torch-spells-them",
        "answers-partly-masked/header-counted-twice",
        "attention-not-causal/mask-of-padding-alone",
        "error-swallowed/clipping-called-without-its-bound",
        "error-swallowed/row-asked-without-its-batch",
        "evaluated-on-training-data/part-of-the-rows-it-learns",
        "ignore-index-as-token/minus-one-for-minus-hundred",
        "lora-starts-nonzero/magnitudes-along-the-other-axis",
        "mask-off-by-one/built-for-targets-and-cut-again",
        "mask-off-by-one/places-counted-from-one",
        "mask-off-by-one/token-put-in-front-of-the-ids-alone",
        "nothing-trainable/by-a-name-that-no-module-has",
        "prompt-in-loss/offset-of-last-message-length",
        "rows-not-independent/activations-rounded-by-the-largest-of-the-batch",
        "rows-not-independent/scores-centred-over-the-batch",
        "saved-before-last-update/tree-never-put-back",
        "schedule-in-wrong-unit/asked-for-micro-batches",
        "schedule-in-wrong-unit/asked-with-the-epoch",
        "setting-not-in-force/clipped-and-dropped",
        "setting-not-in-force/parameters-of-the-adapter-not-indented",
        "setting-not-in-force/rate-under-another-name",
        "stale-prompt-cache/one-cache-for-all-questions",
        "stale-prompt-cache/warmed-with-the-question",
        "targets-unrelated/numbered-anew-by-their-rank",
        "term-detached/disliked-half-stopped",
        "tokenizer-mismatch/two-words-change-ids",
        "wrong-model-updated/applied-and-not-put-back",
    }
)
"""Those that somebody read while mending a detector: they count as known, until they move there."""
